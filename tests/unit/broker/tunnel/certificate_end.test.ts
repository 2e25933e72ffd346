import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { CertificateEnd } from "../../../../src/broker/tunnel/certificate_end.ts";

const DAY_MS = 86_400_000;

function mockTimers(t: TestContext, now: number): void {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now });
  t.after(() => t.mock.timers.reset()); // Deno does not do that by itself.
}

test("certificate end: told once, at its time, however far off that is", (t) => {
  mockTimers(t, 0);
  let told = 0;
  using _end = new CertificateEnd(60 * DAY_MS, () => told += 1);
  for (let day = 0; day < 59; day++) t.mock.timers.tick(DAY_MS);
  t.mock.timers.tick(DAY_MS - 1);
  assert.equal(told, 0);
  t.mock.timers.tick(1);
  t.mock.timers.tick(DAY_MS);
  assert.equal(told, 1);
});

test("certificate end: one that has passed is told in the next turn, one that was let go never", (t) => {
  mockTimers(t, 1_000);
  const told: string[] = [];
  using _past = new CertificateEnd(0, () => told.push("past"));
  const gone = new CertificateEnd(2_000, () => told.push("gone"));
  assert.deepEqual(told, []);
  t.mock.timers.tick(1);
  gone[Symbol.dispose]();
  t.mock.timers.tick(5_000);
  assert.deepEqual(told, ["past"]);
});

test("certificate end: a clock that was behind and is put right does not make it late", (t) => {
  mockTimers(t, 0);
  let told = 0;
  using _end = new CertificateEnd(10 * DAY_MS, () => told += 1);
  t.mock.timers.setTime(10 * DAY_MS);
  t.mock.timers.tick(600_000);
  assert.equal(told, 1);
});
