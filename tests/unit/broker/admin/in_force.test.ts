import assert from "node:assert/strict";
import { test } from "node:test";
import { Hono } from "hono";
import type { AdminEnv } from "../../../../src/broker/admin/deps.ts";
import { answerInForce } from "../../../../src/broker/admin/in_force.ts";
import { type Log, silentLog } from "../../../../src/platform/log.ts";
import { adminFixture } from "../../../support/admin_fixture.ts";
import { enrolOne } from "../../../support/store_fixture.ts";

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
  }, 60_000);
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

test("a process that stood still has not waited meanwhile", async () => {
  const withinMs = 400;
  const { app, warnings } = api(async () => {
    await new Promise((resolve) => setImmediate(resolve));
    // Nothing else of this process runs for longer than all the time.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, withinMs + 50);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }, withinMs);
  assert.equal((await app.request("/", { method: "POST" })).status, 201);
  assert.deepEqual(warnings, []);
});

test("what reads, and what was refused, waits for nothing", async () => {
  const { app } = api(() => Promise.reject(new Error("not to be asked")));
  assert.equal((await app.request("/")).status, 200);
  assert.equal((await app.request("/", { method: "DELETE" })).status, 412);
});

test("only changes that decide where requests go are asked about", async (t) => {
  let asked = 0;
  const { store, clock, call } = await adminFixture(t, { inForce: async () => void asked++ });
  const { connector } = await enrolOne(store, clock);
  const changes: [number, string, string, unknown?][] = [
    [0, "POST", "groups", { name: "Other" }],
    [0, "PATCH", "settings", { latestVersion: "9.9.9" }],
    [0, "POST", "enrolment-tokens", { description: "one more" }],
    [0, "POST", "admin-tokens", { name: "another" }],
    [1, "POST", "apps", { name: "Wiki", externalUrls: ["https://w.test"], internalUrl: "http://10.0.0.5" }],
    [1, "PATCH", `connectors/${connector.id}`, { enabled: false }],
    [1, "DELETE", `connectors/${connector.id}`],
  ];
  for (const [times, method, path, body] of changes) {
    const before = asked;
    const answer = await call(method, path, body);
    assert.ok(answer.status < 300, `${method} ${path}: ${JSON.stringify(answer.body)}`);
    assert.equal(asked - before, times, `${method} ${path}`);
  }
  const [app] = (await call("GET", "apps")).body.items;
  assert.equal((await call("PATCH", `apps/${app.id}`, { hostHeader: "user" })).status, 200);
  assert.equal((await call("DELETE", `apps/${app.id}`)).status, 204);
  assert.equal(asked, 5);
});
