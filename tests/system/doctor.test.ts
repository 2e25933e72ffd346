import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  addConnector,
  type BrokerProcess,
  type ConnectorProcess,
  startBroker,
  startConnector,
} from "../../src/demo/processes.ts";
import { connectProxy, ownCertificate } from "../support/connect_proxy.ts";
import { connectorCli } from "../support/connector_cli.ts";
import { needsProgram } from "../support/debian.ts";
import { connectorRuntime } from "../support/connector_runtime.ts";
import { rawBackend } from "../support/raw_backend.ts";

/** From the top left corner, and nothing of what was there before. */
const REDRAW = "\x1b[H\x1b[2J";

interface Check {
  name: string;
  status: string;
  found: string;
  ms: number;
  code?: string;
  cure?: string;
}

let folder: string;
let broker: BrokerProcess;
let stateDir: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-doctor-"));
  broker = await startBroker({ dataDir: join(folder, "broker"), args: ["--drain-ms", "0"] });
});

after(async () => {
  await broker.stop();
  await rm(folder, { recursive: true, force: true });
});

async function doctor(args: string[], env: Record<string, string> = {}) {
  const outcome = await connectorCli(["doctor", "--state-dir", stateDir, "--json", ...args], { env });
  const { ok, checks } = JSON.parse(outcome.stdout || "{}") as { ok: boolean; checks: Check[] };
  return {
    ...outcome,
    ok,
    checks,
    by: (name: string) => checks.find((check) => check.name.startsWith(name))!,
  };
}

const statuses = (checks: Check[]) => checks.map(({ name, status }) => `${name}: ${status}`);

test("doctor: all in order with a running connector; then each thing that is wrong, with its code and what to do", async (t) => {
  const backend = await rawBackend(
    t,
    ({ socket }) => socket.end("HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
  );
  const good = `http://127.0.0.1:${backend.port}`;
  await broker.admin.publish({ name: "good", externalUrl: "https://good.example/", internalUrl: `${good}/` });
  // Another app of the same backend: that is tried once.
  await broker.admin.publish({
    name: "again",
    externalUrl: "https://again.example/",
    internalUrl: `${good}/`,
  });
  const connector = await addConnector(broker, folder, "state", { runtime: connectorRuntime() });
  stateDir = connector.stateDir;
  try {
    const sound = await doctor([]);
    assert.equal(sound.code, 0, sound.stdout + sound.stderr);
    assert.equal(sound.ok, true);
    assert.deepEqual(statuses(sound.checks), [
      "state folder: ok",
      "disk: ok",
      "allow list: ok",
      "certificate: ok",
      "broker name: ok",
      "proxy: skipped",
      "broker: ok",
      "clock: ok",
      "tunnel: ok",
      `backend ${good}: ok`,
    ]);
    assert.match(sound.by("backend").found, /dns .* ms .*, tcp .* ms 127\.0\.0\.1, http .* ms status 404/);
    assert.equal((await broker.admin.connectors()).length, 1, "no second tunnel disturbs the first");

    // Port 1 of the loopback: nothing listens there.
    await broker.admin.publish({
      name: "bad",
      externalUrl: "https://bad.example/",
      internalUrl: "http://127.0.0.1:1/",
    });
    for (let pulled = false; !pulled;) {
      const status = await connectorCli(["status", "--state-dir", stateDir, "--json"]);
      pulled = JSON.parse(status.stdout).apps === 3;
    }
    const bad = await doctor([]);
    assert.deepEqual([bad.code, bad.error, bad.ok], [1, "checks_failed", false]);
    const refused = bad.by("backend http://127.0.0.1:1");
    assert.deepEqual([refused.status, refused.code], ["failed", "backend_refused"]);
    assert.ok(refused.cure);
    const listed = await doctor(["--allow", "10.0.0.0/8:443"]);
    assert.match(listed.by("allow list").found, /10\.0\.0\.0\/8:443/);
    assert.equal(listed.by(`backend ${good}`).code, "backend_not_allowed");
    assert.equal((await doctor(["--allow", "10.0.0.0/99"])).by("allow list").code, "allow_list_invalid");

    const text = await connectorCli(["doctor", "--state-dir", stateDir]);
    assert.equal(text.code, 1);
    assert.match(text.stdout, /^ok {7}certificate/m);
    assert.match(text.stdout, /failed .*backend_refused.*\n +do: /);
  } finally {
    await connector.stop();
  }
});

test("doctor: a proxy that refuses, one that intercepts, one that is not there", async () => {
  await using refusing = await connectProxy({ answer: "HTTP/1.1 403 Forbidden\r\n\r\n" });
  const refused = await doctor(["--proxy", `http://127.0.0.1:${refusing.port}`]);
  assert.deepEqual([refused.code, refused.by("proxy").code], [1, "proxy_refused"]);
  assert.equal(refused.checks.find(({ name }) => name === "broker")?.status, "skipped");
  await using intercepting = await connectProxy({ intercept: await ownCertificate("Corp Inspection") });
  const intercepted = await doctor([], { HTTPS_PROXY: `http://127.0.0.1:${intercepting.port}` });
  assert.equal(intercepted.by("proxy").status, "ok");
  const found = intercepted.checks.find(({ name }) => name === "broker")!;
  assert.equal(found.code, "tls_intercepted");
  assert.match(found.found, /Corp Inspection/);
  assert.equal((await doctor(["--proxy", "127.0.0.1:1"])).by("proxy").code, "proxy_unreachable");
});

test("doctor: without a running connector it learns the apps by a tunnel of its own", async () => {
  const { by, checks } = await doctor([]);
  assert.deepEqual([by("tunnel").status, by("tunnel").found], [
    "warning",
    "the broker accepts it; no connector runs here",
  ]);
  assert.equal(checks.filter(({ name }) => name.startsWith("backend ")).length, 2);
});

test("doctor: state that others may write in, that is damaged, or that is not there", {
  skip: process.platform === "win32" ? "modes" : false,
}, async () => {
  await chmod(stateDir, 0o777);
  const open = await doctor([]);
  await chmod(stateDir, 0o700);
  assert.deepEqual([open.by("state folder").code, open.by("certificate").code], [
    "state_permissions",
    "state_permissions",
  ]);
  const ca = join(stateDir, "ca.pem");
  const before = await readFile(ca, "utf8");
  await writeFile(ca, "nothing");
  assert.equal((await doctor([])).by("certificate").code, "state_damaged");
  await writeFile(ca, before);
  const none = await connectorCli(["doctor", "--state-dir", join(folder, "none"), "--json"]);
  assert.equal(none.code, 1);
  assert.equal(JSON.parse(none.stdout).checks[0].code, "state_not_registered");
});

test("status --watch: goes on from a connector that is not there to one that is, and ends on a signal", async () => {
  // The watcher may see its tunnel before we are told that it is ready.
  let connector: Promise<ConnectorProcess> | undefined;
  try {
    const { stdout } = await connectorCli(["status", "--watch", "--state-dir", stateDir, "--json"], {
      onStart: (child) => {
        createInterface({ input: child.stdout! }).on("line", (line) => {
          const { tunnels } = JSON.parse(line) as { tunnels?: { state: string }[] };
          if (tunnels?.[0]?.state === "connected") child.kill("SIGTERM");
          else connector ??= startConnector({ stateDir, runtime: connectorRuntime() });
        });
      },
    });
    const [first] = stdout.split("\n").map((line) => line === "" ? null : JSON.parse(line));
    assert.equal(first.error.code, "connector_not_running");
  } finally {
    await (await connector)?.stop();
  }
});

test("status --watch: on a terminal it begins at the top left of an empty screen, and Ctrl-C ends it", async (t) => {
  const script = needsProgram(t, "script", "bsdutils");
  if (script === null) return;
  const main = fileURLToPath(new URL("../../src/connector/main.ts", import.meta.url));
  const runtime = process.versions.deno === undefined ? [] : ["run", "-A", "--no-check"];
  // A shell that waited for it would end by the signal, too, whatever the program does: `exec` leaves none, whichever it is.
  const words = [process.execPath, ...runtime, main, "status", "--watch", "--state-dir", stateDir];
  const line = `exec ${words.map((word) => `'${word}'`).join(" ")}`;
  const child = spawn(script, ["--quiet", "--return", "--command", line, "/dev/null"], { stdio: "pipe" });
  t.after(() => child.kill("SIGKILL"));
  let seen = "";
  let told = false;
  child.stdin.on("error", () => {});
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    seen += text;
    // What a terminal sends for Ctrl-C.
    if (!told && seen.split(REDRAW).length >= 3) told = child.stdin.write("\x03");
  });
  const [code] = await once(child, "close");
  assert.equal(code, 0, seen);
  const [before, first] = seen.split(REDRAW);
  assert.equal(before, "");
  assert.match(first!, /^\d{4}-[^\n]+\r\nerror\.code +connector_not_running/);
});
