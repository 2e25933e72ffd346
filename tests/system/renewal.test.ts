/** Certificates of connectors are renewed: under load, cut short at every step, with a disk that fails. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { mkdir, open, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { loadIdentity } from "../../src/connector/identity/identity.ts";
import { readStatus } from "../../src/connector/status/client.ts";
import { statusSocketPath } from "../../src/connector/status/socket_path.ts";
import { RENEWAL_STEPS } from "../../src/connector/identity/renewal.ts";
import { TunnelStage } from "../support/tunnel_stage.ts";
import { until } from "../support/until.ts";
import { Users } from "../support/user_requests.ts";

const PROGRAM = fileURLToPath(new URL("../support/programs/renewing_connector.ts", import.meta.url));

async function stageWith(t: TestContext, ...args: string[]): Promise<TunnelStage> {
  const stage = await TunnelStage.start({ prepare: () => Promise.resolve(args) });
  t.after(() => stage[Symbol.asyncDispose]());
  const { origin } = await stage.backend((_req, res) => res.end("served"));
  await stage.publish("/", origin);
  return stage;
}

async function serialOf(stateDir: string): Promise<string> {
  const { certificate } = await loadIdentity(stateDir);
  return new X509Certificate(certificate).serialNumber.toLowerCase();
}

async function recordedSerial(stage: TunnelStage): Promise<string> {
  const facts = await stage.facts() as unknown as { certificate: { serial: string } };
  return facts.certificate.serial.toLowerCase();
}

async function served(stage: TunnelStage): Promise<void> {
  using users = new Users();
  assert.equal((await users.get(stage.url())).body, "served");
}

/** Runs the connector that is cut short at a step. */
function renewing(t: TestContext, stateDir: string, step: string, what: "kill" | "hold") {
  const runtime = process.versions.deno === undefined ? [] : ["run", "-A", "--no-check"];
  const child = spawn(process.execPath, [...runtime, PROGRAM, stateDir, step, what], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  t.after(() => child.kill("SIGKILL"));
  const log: string[] = [];
  createInterface(child.stderr).on("line", (line) => log.push(line));
  const lines = createInterface(child.stdout);
  const held = new Promise<void>((resolve) =>
    lines.on("line", (line) => line.includes('"step"') && resolve())
  );
  return { child, held, log, exited: once(child, "close") as Promise<[number | null, string | null]> };
}

test("a certificate is renewed after two thirds of its life, again and again, and no request fails", async (t) => {
  const stage = await stageWith(t, "--connector-certificate-ms", "15000");
  using users = new Users();
  // Besides what is short, a response that has begun before each renewal and ends after it.
  let onHeld: (res: ServerResponse) => void = () => {};
  const { origin } = await stage.backend((req, res) => {
    if (req.method === "GET") return void res.end("of its own");
    res.write("begun, ");
    onHeld(res);
  });
  await stage.publish("/held", origin);
  assert.equal((await users.get(stage.url("/held"))).body, "of its own");
  const hold = async () => {
    const reached = new Promise<ServerResponse>((resolve) => onHeld = resolve);
    const answer = users.get(stage.url("/held"), { method: "POST" });
    // An answer that comes first is not the backend's.
    const early = answer.then(({ status, body }) => assert.fail(`answered ${status} ${body}`));
    early.catch(() => {});
    return { answer, res: await Promise.race([reached, early]) };
  };
  const serials = new Set([await serialOf(stage.stateDir)]);
  let running = true;
  t.after(() => running = false);
  let count = 0;
  const failures: string[] = [];
  const load = Array.from({ length: 16 }, async () => {
    while (running) {
      await users.get(stage.url()).then(({ status, body }) => {
        count += 1;
        if (status !== 200 || body !== "served") failures.push(`${status} ${body}`);
      }, (error: Error) => failures.push(error.message));
    }
  });
  for (let from = 0, i = 0; i < 2; i++) {
    const held = await hold();
    await stage.logged('"tunnel moved"', from);
    from = stage.connectorLog.findLastIndex((line) => line.includes('"tunnel moved"')) + 1;
    assert.equal((await stage.facts()).tunnels.length, 2, "the old one serves what it has begun");
    held.res.end("and whole");
    assert.equal((await held.answer).body, "begun, and whole");
    serials.add(await serialOf(stage.stateDir));
    await stage.until("the old tunnel is gone", ({ tunnels }) => tunnels.length === 1);
  }
  running = false;
  await Promise.all(load);
  assert.deepEqual(failures, []);
  assert.ok(count > 100);
  assert.equal(serials.size, 3);
  assert.equal(await recordedSerial(stage), await serialOf(stage.stateDir));
  const moves = stage.connectorLog.filter((line) => line.includes('"tunnel moved"')).length;
  assert.ok(moves >= 2);
  assert.equal(stage.connectorLog.filter((line) => line.includes('"tunnel lost"')).length, 0);
});

test("a connector that is killed at any step of a renewal has a working identity, and finishes", async (t) => {
  const stage = await stageWith(t);
  for (const step of RENEWAL_STEPS) await t.test(step, (t) => killedAt(t, stage, step));
});

async function killedAt(t: TestContext, stage: TunnelStage, step: string): Promise<void> {
  await stage.connector.stop();
  const before = await serialOf(stage.stateDir);
  const { exited, log } = renewing(t, stage.stateDir, step, "kill");
  const [, signal] = await exited;
  assert.equal(signal, "SIGKILL", log.join("\n"));
  const cut = await serialOf(stage.stateDir);
  const isSwitched = ["switched", "copied", "tidied"].includes(step);
  assert.equal(cut === before, !isSwitched);
  const recorded = await recordedSerial(stage);
  assert.equal(recorded === before, ["begun", "key_written"].includes(step));

  const from = stage.connectorLog.length;
  await stage.startConnector();
  await served(stage);
  if (step !== "begun" && !isSwitched) {
    await stage.logged('"certificate renewed"', from);
    await stage.until("the old tunnel is gone", ({ tunnels }) => tunnels.length === 1);
    await served(stage);
  }
  const after = await serialOf(stage.stateDir);
  assert.equal(after === before, step === "begun");
  assert.equal(after, await recordedSerial(stage));
  if (recorded !== before) assert.equal(after, recorded, "the same key, hence the same certificate");
  await stage.connector.stop();
  assert.deepEqual((await readdir(stage.stateDir)).sort(), [
    "broker.json",
    "ca.pem",
    "certificate.pem",
    "key.pem",
  ]);
  const copy = new X509Certificate(await readFile(join(stage.stateDir, "certificate.pem")));
  assert.equal(copy.serialNumber.toLowerCase(), after);
}

test("a broker that is killed while a renewal waits for it: the renewal is finished when it is back", async (t) => {
  const stage = await stageWith(t);
  await stage.connector.stop();
  const before = await serialOf(stage.stateDir);
  const { child, held, log } = renewing(t, stage.stateDir, "key_written", "hold");
  await held;
  stage.broker.child.signal("SIGKILL");
  await stage.broker.child.exited;
  const failed = once(child.stderr, "data");
  child.stdin.write("\n");
  await failed;
  assert.equal(await serialOf(stage.stateDir), before);
  await stage.startBroker();
  await stage.until("it is connected", ({ connected }) => connected);
  await served(stage);
  child.kill("SIGTERM");
  await once(child, "close");
  await stage.startConnector();
  // Read while it is written, the key may be the old one, and the certificate already the new one.
  const serial = () => serialOf(stage.stateDir).catch(() => before);
  const more = () => log.join("\n");
  await until("the renewal is finished", async () => await serial() !== before, { more });
  assert.equal(await serialOf(stage.stateDir), await recordedSerial(stage));
  await served(stage);
});

/** Fills a file system but for so many pages of 4 KiB. */
async function fill(folder: string, freePages: number): Promise<string> {
  const path = join(folder, "filler");
  await using file = await open(path, "w");
  const page = Buffer.alloc(4_096);
  let pages = 0;
  try {
    for (;; pages++) await file.write(page, 0, page.length, pages * page.length);
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
  }
  await file.truncate((pages - freePages) * page.length);
  return path;
}

test("a disk that is full: the identity stays whole, status says why, and the renewal comes when there is room", async (t) => {
  let isMounted = false;
  const stage = await TunnelStage.start({
    prepare: async ({ stateDir }) => {
      await mkdir(stateDir, { mode: 0o700 });
      try {
        execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k,mode=700", "sallyport-test", stateDir], {
          stdio: "ignore",
        });
        isMounted = true;
        t.after(() => execFileSync("umount", ["-l", stateDir], { stdio: "ignore" }));
      } catch {
        // Only root may mount, and not in every container.
      }
      return [];
    },
  });
  t.after(() => stage[Symbol.asyncDispose]());
  if (!isMounted) return t.skip("run it as root, where a tmpfs can be mounted");
  const { stateDir } = stage;
  await stage.connector.stop();

  // No room for the key; room for the key alone.
  for (const pages of [0, 1]) {
    const before = await serialOf(stateDir);
    const filler = await fill(stateDir, pages);
    const { child, log, exited } = renewing(t, stateDir, "none", "kill");
    const said = (text: string) =>
      until(`the log has '${text}'`, () => log.some((line) => line.includes(text)));
    await said('"certificate not renewed"');
    assert.match(log.find((line) => line.includes('"certificate not renewed"'))!, /state_unwritable/);
    assert.equal(await serialOf(stateDir), before);
    const status = await readStatus(statusSocketPath(stateDir));
    assert.match(String(status.renewalError), /ENOSPC/);
    assert.ok(Number(status.renewalFailures) >= 1);
    await rm(filler);
    await said('"certificate renewed"');
    assert.notEqual(await serialOf(stateDir), before);
    child.kill("SIGTERM");
    await exited;
    await stage.startConnector();
    assert.equal(await serialOf(stateDir), await recordedSerial(stage));
    await stage.connector.stop();
    assert.deepEqual((await readdir(stateDir)).sort(), [
      "broker.json",
      "ca.pem",
      "certificate.pem",
      "key.pem",
    ]);
  }
});
