import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { setImmediate } from "node:timers/promises";
import { BackendHealth } from "../../../src/connector/backend_health.ts";
import { silentLog } from "../../../src/platform/log.ts";
import type { ConnectorApp, HealthCheck } from "../../../src/protocol/app.ts";
import { backendApp } from "../../support/backend_exchange.ts";

const CHECK: HealthCheck = {
  type: "http",
  path: "/",
  intervalMs: 10_000,
  timeoutMs: 1_000,
  healthyAfter: 2,
  unhealthyAfter: 3,
};

/** Health of these apps under a clock that stands still, with what it told and looked at. */
function healthOf(t: TestContext, apps: ConnectorApp[]) {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  t.after(() => t.mock.timers.reset()); // Deno leaves that to us.
  const known = new Map(apps.map((app) => [app.id, app]));
  const told: string[] = [];
  const looked: string[] = [];
  let running = 0;
  const stage = { most: 0, reason: "backend_refused" as string | null, answer: Promise.resolve() };
  const health = new BackendHealth({
    app: (id) => known.get(id),
    check: async (app) => {
      looked.push(app.id);
      stage.most = Math.max(stage.most, ++running);
      await stage.answer;
      running -= 1;
      return stage.reason;
    },
    tell: (appId, isUp) => told.push(`${appId} ${isUp ? "up" : "down"}`),
    log: silentLog,
    random: () => 0.5,
  });
  t.after(() => health[Symbol.dispose]());
  const pass = async (ms: number): Promise<void> => {
    t.mock.timers.tick(ms);
    await setImmediate();
  };
  return { health, known, told, looked, stage, pass };
}

test("a host without descriptors is no app's affair: it is logged, once for many, and nothing is told", () => {
  const warned: unknown[] = [];
  const told: string[] = [];
  using health = new BackendHealth({
    app: () => backendApp("http://a"),
    check: () => Promise.resolve(null),
    tell: (appId) => told.push(appId),
    log: { ...silentLog, warn: (_message, fields) => void warned.push(fields?.code) },
  });
  for (let i = 0; i < 10; i++) health.failed("app", "connector_exhausted");
  assert.deepEqual([warned, told, health.outOfReach], [["connector_exhausted"], [], []]);
});

test("a failed connection is told at once, looked at after 2 s, then less often, until it succeeds", async (t) => {
  const { health, told, looked, stage, pass } = healthOf(t, [backendApp("http://a")]);
  health.failed("app", "backend_refused");
  health.failed("app", "backend_connect_timeout");
  assert.deepEqual(told, ["app down"]);
  assert.deepEqual(health.outOfReach, [{ app: "app", reason: "backend_refused" }]);
  await pass(1_999);
  assert.equal(looked.length, 0);
  for (const [ms, count] of [[1, 1], [2_999, 1], [1, 2], [4_500, 3], [6_750, 4]] as const) {
    await pass(ms);
    assert.equal(looked.length, count, `after ${ms} ms more`);
  }
  stage.reason = null;
  await pass(15_000);
  assert.equal(told.at(-1), "app up");
  assert.deepEqual(health.outOfReach, []);
  const before = looked.length;
  await pass(3_600_000);
  assert.equal(looked.length, before, "nobody looks at an app without a check that is well");
});

test("only failures to connect count, and only of apps that are known", (t) => {
  const { health, told } = healthOf(t, [backendApp("http://a")]);
  for (const code of ["backend_reset", "backend_busy", "backend_timeout", "app_unknown"]) {
    health.failed("app", code);
  }
  health.failed("other", "backend_refused");
  assert.deepEqual(told, []);
  health.failed("app", "backend_tls_untrusted");
  assert.deepEqual(told, ["app down"]);
});

test("an app with a check goes down and up by its thresholds", async (t) => {
  const { health, told, stage, pass } = healthOf(t, [backendApp("http://a", { healthCheck: CHECK })]);
  health.changed(["app"]);
  await pass(500);
  await pass(10_000);
  assert.deepEqual(told, [], "two failures of three");
  await pass(10_000);
  assert.deepEqual(told, ["app down"]);
  stage.reason = null;
  await pass(2_000);
  assert.deepEqual(told, ["app down"], "one success of two");
  await pass(3_000);
  assert.deepEqual(told, ["app down", "app up"]);
});

test("a check that found the connector busy says nothing", async (t) => {
  const app = backendApp("http://a", { healthCheck: { ...CHECK, unhealthyAfter: 1 } });
  const { health, told, stage, pass } = healthOf(t, [app]);
  stage.reason = "backend_busy";
  health.changed(["app"]);
  for (let i = 0; i < 5; i++) await pass(10_000);
  assert.deepEqual(told, []);
});

test("what is out of reach is said again while it is", async (t) => {
  const { health, told, pass } = healthOf(t, [backendApp("http://a")]);
  health.failed("app", "backend_refused");
  await pass(20_000);
  await pass(20_000);
  assert.deepEqual(told, ["app down", "app down", "app down"]);
});

test("an app that was changed or removed begins anew, and a check that runs for it counts no more", async (t) => {
  const { health, known, told, looked, stage, pass } = healthOf(t, [backendApp("http://a")]);
  const late = Promise.withResolvers<void>();
  health.failed("app", "backend_refused");
  stage.answer = late.promise;
  await pass(2_000);
  assert.equal(looked.length, 1);
  known.delete("app");
  health.changed(["app"]);
  assert.deepEqual(told, ["app down", "app up"]);
  late.resolve();
  await setImmediate();
  await pass(60_000);
  assert.deepEqual([told.length, looked.length], [2, 1]);
});

test("at most 32 checks run at a time, and each has its turn", async (t) => {
  const apps = Array.from({ length: 100 }, (_, i) => backendApp("http://a", { id: `app-${i}` }));
  const { health, looked, stage, pass } = healthOf(t, apps);
  const late = Promise.withResolvers<void>();
  stage.answer = late.promise;
  for (const { id } of apps) health.failed(id, "backend_refused");
  await pass(2_000);
  assert.equal(looked.length, 32);
  late.resolve();
  for (let i = 0; i < 10; i++) await setImmediate();
  assert.equal(new Set(looked).size, 100);
  assert.equal(stage.most, 32);
});
