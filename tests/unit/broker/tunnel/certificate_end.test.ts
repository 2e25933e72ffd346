import assert from "node:assert/strict";
import { test } from "node:test";
import { CertificateEnd } from "../../../../src/broker/tunnel/certificate_end.ts";

const DAY_MS = 86_400_000;

test("certificate end: told once, at its time, also when that is further off than a timer can wait", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 0 });
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
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000 });
  const told: string[] = [];
  using _past = new CertificateEnd(0, () => told.push("past"));
  const gone = new CertificateEnd(2_000, () => told.push("gone"));
  assert.deepEqual(told, []);
  t.mock.timers.tick(1);
  gone[Symbol.dispose]();
  t.mock.timers.tick(5_000);
  assert.deepEqual(told, ["past"]);
});
