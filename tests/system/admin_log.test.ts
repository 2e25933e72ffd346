/** What an administrator finds in the logs of both programs: one line of JSON for each event. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TunnelStage } from "../support/tunnel_stage.ts";

test("start, registration, connection, its end with the reason, and errors are in the log of whom they concern", async () => {
  await using stage = await TunnelStage.start();
  const broker = (message: string) => stage.brokerLogged(`"message":"${message}`);
  const line = (message: string) => stage.logged(`"message":"${message}`);
  const { connectorId: connector } = stage;
  assert.equal((await broker("broker ready")).adminUrl, stage.broker.adminUrl);
  assert.equal((await broker("Enrolled connector")).connector, connector);
  const ready = await broker("tunnel ready");
  assert.deepEqual([ready.connector, ready.externalIp], [connector, "127.0.0.1"]);
  assert.equal((await line("connector starting")).connector, connector);
  assert.equal((await line("tunnel ready")).connector, connector);
  for (const { time, level } of [...stage.brokerLog, ...stage.connectorLog].map((text) => JSON.parse(text))) {
    assert.equal(new Date(String(time)).toISOString(), time);
    assert.ok(["debug", "info", "warn", "error"].includes(String(level)));
  }
  const from = stage.connectorLog.length;
  stage.relay.cut();
  const closed = await broker("tunnel closed");
  assert.equal(closed.connector, connector);
  assert.ok(String(closed.reason).length > 0);
  const lost = await line("tunnel lost");
  assert.deepEqual([lost.level, typeof lost.reason], ["warn", "string"]);
  // No dial is under way then, which could end in other ways.
  await stage.logged('"message":"tunnel ready', from);
  await stage.broker.stop();
  const failed = await line('no tunnel"');
  assert.match(String(failed.code), /^broker_/);
  assert.equal((await broker("stopping")).level, "info");
});
