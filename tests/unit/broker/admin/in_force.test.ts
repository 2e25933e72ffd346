import assert from "node:assert/strict";
import { test } from "node:test";
import { Hono } from "hono";
import type { AdminEnv } from "../../../../src/broker/admin/deps.ts";
import { answerInForce } from "../../../../src/broker/admin/in_force.ts";
import { type Log, silentLog } from "../../../../src/platform/log.ts";

/** An API of one path; `inForce` is asked for each change that was made. */
function api(inForce: () => Promise<void>, withinMs?: number) {
  const warnings: string[] = [];
  const log: Log = { ...silentLog, warn: (message) => void warnings.push(message) };
  const app = new Hono<AdminEnv>();
  app.use(answerInForce(inForce, log, withinMs));
  app.get("/", (c) => c.text("read"));
  app.post("/", (c) => c.text("made", 201));
  app.delete("/", (c) => c.text("refused", 412));
  return { app, warnings };
}

test("a change is answered once it is in force, not before", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const { app, warnings } = api(() => {
    asked.resolve();
    return promise;
  });
  let answered = false;
  const answer = Promise.resolve(app.request("/", { method: "POST" })).finally(() => answered = true);
  await asked.promise;
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(answered, false);
  resolve();
  assert.equal((await answer).status, 201);
  assert.deepEqual(warnings, []);
});

test("a change that does not come into force in time is answered nevertheless, and logged", async () => {
  const { app, warnings } = api(() => new Promise(() => {}), 5);
  const answer = await app.request("/", { method: "POST" });
  assert.equal(answer.status, 201);
  assert.equal(await answer.text(), "made");
  assert.equal(warnings.length, 1);
});

test("what reads, and what was refused, waits for nothing", async () => {
  const { app } = api(() => Promise.reject(new Error("not to be asked")));
  assert.equal((await app.request("/")).status, 200);
  assert.equal((await app.request("/", { method: "DELETE" })).status, 412);
});
