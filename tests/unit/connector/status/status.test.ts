import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { formatTable } from "../../../../src/connector/cli/output.ts";
import { readStatus } from "../../../../src/connector/status/client.ts";
import { serveStatus } from "../../../../src/connector/status/server.ts";
import { statusSocketPath } from "../../../../src/connector/status/socket_path.ts";

/** With room for a socket's name, which may have some hundred bytes with its path. */
async function folder(t: TestContext): Promise<string> {
  const parent = tmpdir().length < 60 ? tmpdir() : "/tmp";
  const path = await mkdtemp(join(parent, "sallyport-status-"));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

test("status: is told over a private socket, as it is at that moment, and the socket goes with it", async (t) => {
  const state = await folder(t);
  const path = statusSocketPath(state);
  let lanes = 1;
  const status = await serveStatus(path, () => ({ lanes, tunnel: { state: "ready" } }));
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.deepEqual(await readStatus(path), { lanes: 1, tunnel: { state: "ready" } });
  lanes = 2;
  assert.equal((await readStatus(path)).lanes, 2);
  await status[Symbol.asyncDispose]();
  assert.deepEqual(await readdir(state), []);
  await assert.rejects(readStatus(path), { code: "connector_not_running" });
});

test("status: a socket file left by a killed process is replaced", async (t) => {
  const path = statusSocketPath(await folder(t));
  await writeFile(path, "");
  await using _status = await serveStatus(path, () => ({}));
  assert.deepEqual(await readStatus(path), {});
});

test("status: a snapshot that throws is an answer of its own, not the end of the process", async (t) => {
  const path = statusSocketPath(await folder(t));
  await using _status = await serveStatus(path, () => {
    throw new Error("not ready");
  });
  await assert.rejects(readStatus(path), { code: "status_unavailable" });
});

test("status: a socket that cannot be made, or does not answer, has its code", async (t) => {
  const state = await folder(t);
  await assert.rejects(serveStatus(join(state, "x".repeat(120)), () => ({})), { code: "status_unavailable" });
  await assert.rejects(serveStatus(join(state, "absent", "s"), () => ({})), { code: "status_unavailable" });
  const silent = createServer();
  const path = join(state, "silent.sock");
  silent.listen(path);
  await once(silent, "listening");
  const sockets: { destroy(): void }[] = [];
  silent.on("connection", (socket) => sockets.push(socket));
  await assert.rejects(readStatus(path, 100), { code: "status_unavailable" });
  for (const socket of sockets) socket.destroy();
  silent.close();
  await once(silent, "close");
});

test("status: the table joins nested names and aligns values", () => {
  assert.equal(
    formatTable({ a: 1, b: { long: null, c: ["x", true] } }),
    "a       1\nb.long  -\nb.c.0   x\nb.c.1   true",
  );
});

test("status: people read tenths and a dash for nothing", () => {
  assert.equal(
    formatTable({ renewalDueAt: "2027-01-25T20:03:37.442Z", roundTripMs: 11.169518, latest: "", probes: 0 }),
    "renewalDueAt  2027-01-25T20:03:37.442Z\nroundTripMs   11.2\nlatest        -\nprobes        0",
  );
});
