import assert from "node:assert/strict";
import { test } from "node:test";
import { type Failure, FailureLog } from "../../../../src/broker/ingress/failure_log.ts";
import { type Log, type LogFields, silentLog } from "../../../../src/platform/log.ts";

const FAILURE: Failure = {
  code: "backend_refused",
  status: 502,
  requestId: "r1",
  app: "Wiki",
  connector: "c1",
  totalMs: 12.345,
};

test("failure log: a line for each, no more than its rate, and the next one counts what was not said", () => {
  let now = 0;
  const lines: LogFields[] = [];
  const log: Log = { ...silentLog, warn: (_message, fields = {}) => void lines.push(fields) };
  const failures = new FailureLog(log, () => now);
  for (let i = 0; i < 50; i++) failures.note(FAILURE);
  assert.equal(lines.length, 20);
  const { totalMs: _, ...said } = FAILURE;
  assert.deepEqual(lines[0], { ...said, ms: 12 });
  now += 500;
  failures.note({ ...FAILURE, connector: "" });
  assert.equal(lines.length, 21);
  assert.deepEqual([lines[20]!.unsaid, "connector" in lines[20]!], [30, false]);
  now += 3_600_000;
  for (let i = 0; i < 50; i++) failures.note(FAILURE);
  assert.equal(lines.length, 41);
});
