/** What an administrator finds in the logs of both programs: one line of JSON for each event. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TunnelStage } from "../support/tunnel_stage.ts";
import { until } from "../support/until.ts";

type Line = Record<string, unknown>;

test("start, registration, connection, its end with the reason, and errors are in the log of whom they concern", async () => {
  const broker: Line[] = [];
  await using stage = await TunnelStage.start({ onBrokerLog: (line) => broker.push(JSON.parse(line)) });
  const line = (text: string, from: readonly Line[] | readonly string[]): Promise<Line> =>
    until(`"${text}" is in the log`, () => {
      const lines = from.map((one) => typeof one === "string" ? JSON.parse(one) as Line : one);
      return lines.find(({ message }) => String(message).startsWith(text));
    });
  const { connectorId: connector } = stage;
  assert.equal((await line("broker ready", broker)).adminUrl, stage.broker.adminUrl);
  assert.equal((await line("Enrolled connector", broker)).connector, connector);
  const ready = await line("tunnel ready", broker);
  assert.deepEqual([ready.connector, ready.externalIp], [connector, "127.0.0.1"]);
  assert.equal((await line("connector starting", stage.connectorLog)).connector, connector);
  assert.equal((await line("tunnel ready", stage.connectorLog)).connector, connector);
  for (const { time, level } of [...broker, ...stage.connectorLog.map((text) => JSON.parse(text) as Line)]) {
    assert.equal(new Date(String(time)).toISOString(), time);
    assert.ok(["debug", "info", "warn", "error"].includes(String(level)));
  }
  stage.relay.cut();
  const closed = await line("tunnel closed", broker);
  assert.equal(closed.connector, connector);
  assert.ok(String(closed.reason).length > 0);
  const lost = await line("tunnel lost", stage.connectorLog);
  assert.deepEqual([lost.level, typeof lost.reason], ["warn", "string"]);
  await stage.broker.stop();
  const failed = await line("no tunnel", stage.connectorLog);
  assert.match(String(failed.code), /^broker_/);
  assert.equal((await line("stopping", broker)).level, "info");
});
