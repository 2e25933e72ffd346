import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { lockState } from "../../../../src/connector/identity/state_lock.ts";

const MODULE = new URL("../../../../src/connector/identity/state_lock.ts", import.meta.url).href;

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "sallyport-lock-"));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** A process that tries to take the lock, says "held" or the code, and keeps what it got. */
async function other(t: TestContext, state: string): Promise<{ child: ChildProcess; said: string }> {
  const script = `import { lockState } from ${JSON.stringify(MODULE)};
    try { globalThis.lock = lockState(${JSON.stringify(state)}); console.log("held"); }
    catch (error) { console.log(error.code); }
    setInterval(() => {}, 1000);`;
  const args = process.versions.deno === undefined
    ? ["--input-type=module", "-e", script]
    : ["eval", "--no-check", script];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  const [said] = await once(child.stdout!, "data");
  return { child, said: String(said).trim() };
}

test("state lock: one holder at a time, within a process too, and nothing left after it", async (t) => {
  const state = await folder(t);
  const lock = lockState(state);
  assert.deepEqual(await readdir(state), ["lock"]);
  assert.equal((await stat(join(state, "lock"))).mode & 0o777, 0o600);
  assert.throws(() => lockState(state), { code: "state_in_use" });
  // The failed attempt must not have taken the lock from its holder: closing any descriptor of a file can.
  assert.equal((await other(t, state)).said, "state_in_use");
  await lock[Symbol.asyncDispose]();
  assert.deepEqual(await readdir(state), []);
  await using _again = lockState(state);
});

test("state lock: held by another process it is in use; when that is killed it is free", async (t) => {
  const state = await folder(t);
  const { child, said } = await other(t, state);
  assert.equal(said, "held");
  assert.throws(() => lockState(state), { code: "state_in_use" });
  assert.throws(() => lockState(state), { code: "state_in_use" });
  child.kill("SIGKILL");
  await once(child, "close");
  await using _lock = lockState(state);
});

test("state lock: in a folder that is missing there is nothing to lock", async (t) => {
  assert.throws(() => lockState("/nonexistent/sallyport"), { code: "state_not_registered" });
  const state = await folder(t);
  assert.throws(() => lockState(join(state, "absent")), { code: "state_not_registered" });
});
