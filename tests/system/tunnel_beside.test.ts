import assert from "node:assert/strict";
import { test } from "node:test";
import { TunnelStage } from "../support/tunnel_stage.ts";

test("beside a tunnel that has fallen silent the connector dials another one, and is back before the old one has ended", async () => {
  await using stage = await TunnelStage.start();
  const { origin } = await stage.backend((_req, res) => void res.end("ok"));
  await stage.publish("/", origin);
  const [old] = (await stage.facts()).tunnels;
  const dialled = stage.relay.accepted;
  // What is asked on it now has no answer, and must not hold up the next tunnel.
  stage.relay.silence();
  await stage.logged("tunnel moved");
  assert.equal(stage.connectorLog.some((line) => line.includes("tunnel lost")), false);
  await stage.until(
    "another tunnel",
    ({ tunnels }) => tunnels.some(({ connectedAt }) => connectedAt !== old!.connectedAt),
  );
  assert.equal((await fetch(stage.url())).status, 200);
  assert.equal(stage.relay.accepted, dialled + 1);
});

test("a connector that is stopped waits for no tunnel that has fallen silent and carries nothing", async () => {
  await using stage = await TunnelStage.start({ connectorArgs: ["--log-level", "debug"] });
  stage.relay.silence();
  await stage.logged("tunnel moved");
  await stage.connector.stop();
  assert.equal(stage.connector.child.exit?.code, 0);
  const left = await stage.logged("tunnel left");
  assert.equal(left.code, undefined, "not by its time-out");
});

test("a process that stood still for less than the broker's patience keeps its tunnel, whatever its own clock says", async () => {
  await using stage = await TunnelStage.start({
    connectorArgs: ["--ping-interval-ms", "300", "--tunnel-timeout-ms", "1500"],
  });
  const { origin } = await stage.backend((_req, res) => void res.end("ok"));
  await stage.publish("/", origin);
  const { child } = stage.connector;
  const dialled = stage.relay.accepted;
  child.signal("SIGSTOP");
  try {
    // Time is what the tunnel is tested against: twice its own limit.
    await new Promise((resolve) => setTimeout(resolve, 3_000));
  } finally {
    child.signal("SIGCONT");
  }
  assert.equal((await fetch(stage.url())).status, 200);
  assert.equal(stage.relay.accepted, dialled);
  assert.equal(stage.connectorLog.some((line) => line.includes("tunnel lost")), false);
});

test("a broker that stops is dialled beside its tunnel, on which what is in flight ends well", async () => {
  await using stage = await TunnelStage.start({
    prepare: () => Promise.resolve(["--drain-ms", "20000"]),
  });
  let finish = (): void => {};
  const { origin } = await stage.backend((_req, res) => {
    res.write("begun ");
    finish = () => res.end("done");
  });
  await stage.publish("/", origin);
  const response = await fetch(stage.url());
  const from = stage.connectorLog.length;
  const stopped = stage.broker.stop();
  await stage.logged("dialling a tunnel beside", from);
  await stage.logged("no tunnel beside", from);
  finish();
  assert.equal(await response.text(), "begun done");
  await stopped;
  await stage.logged("tunnel lost", from);
  await stage.startBroker();
  await stage.logged("tunnel ready", from);
});
