import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { startBroker } from "../../src/demo/processes.ts";

test("broker: a second one on the same data folder is refused, and the first one goes on", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sallyport-folder-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(folder, { recursive: true }));
  const dataDir = join(folder, "data");
  const first = await startBroker({ dataDir });
  stack.defer(() => first.stop());
  const lines: string[] = [];
  await assert.rejects(startBroker({ dataDir, onLog: (line) => lines.push(line) }));
  assert.match(lines.join("\n"), /store_in_use/);
  assert.equal((await first.admin.connectors()).length, 0);
  await first.stop();
  await (await startBroker({ dataDir })).stop();
});

test("broker: a data folder that cannot be made is an error at once", {
  skip: process.platform !== "linux" && "there is no /proc",
}, async () => {
  const lines: string[] = [];
  await assert.rejects(startBroker({ dataDir: "/proc/sallyport/data", onLog: (line) => lines.push(line) }));
  assert.match(lines.join("\n"), /store_file_failed/);
});
