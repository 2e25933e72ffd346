import assert from "node:assert/strict";
import { test } from "node:test";
import { connectorLog } from "../../../../src/broker/tunnel/connector_log.ts";
import type { Log, LogFields } from "../../../../src/platform/log.ts";

function recorded() {
  const lines: { level: string; message: string; fields: LogFields }[] = [];
  const at = (of: LogFields): Log => {
    const write = (level: string) => (message: string, fields: LogFields = {}) =>
      void lines.push({ level, message, fields: { ...of, ...fields } });
    return {
      debug: write("debug"),
      info: write("info"),
      warn: write("warn"),
      error: write("error"),
      with: (fields) => at({ ...of, ...fields }),
    };
  };
  return { lines, log: at({}) };
}

test("of one message about one connector the log has 30 lines, then one each ten seconds that tells of the others", () => {
  const { lines, log: below } = recorded();
  let now = 0;
  let withheld = 0;
  const log = connectorLog(below, { onWithheld: () => withheld += 1, now: () => now });
  for (let i = 0; i < 1_000; i++) log.info("backend is out of reach", { connector: "c", app: `app ${i}` });
  assert.deepEqual([lines.length, withheld], [30, 970]);
  now = 10_000;
  for (let i = 0; i < 10; i++) log.info("backend is out of reach", { connector: "c", app: `app ${i}` });
  assert.deepEqual(lines.slice(30), [{
    level: "info",
    message: "backend is out of reach",
    fields: { connector: "c", app: "app 0", withheld: 970 },
  }]);
  assert.equal(withheld, 979);
});

test("a connector hides neither lines of others nor its own of another kind", () => {
  const { lines, log: below } = recorded();
  const log = connectorLog(below, { now: () => 0 });
  const own = log.with({ connector: "c" });
  for (let i = 0; i < 100; i++) own.warn("lane lost");
  assert.equal(lines.length, 30);
  own.info("tunnel closed");
  log.warn("lane lost", { connector: "d" });
  log.warn("lane lost");
  assert.deepEqual(lines.slice(30).map(({ message, fields }) => [message, fields]), [
    ["tunnel closed", { connector: "c" }],
    ["lane lost", { connector: "d" }],
    ["lane lost", {}],
  ]);
  for (let i = 0; i < 100; i++) own.error("cannot go on");
  assert.equal(lines.length, 133);
});
