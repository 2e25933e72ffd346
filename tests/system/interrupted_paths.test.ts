/** What happens to a connector between desks and meetings: nobody restarts anything, and it is back by itself. */
import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { test, type TestContext } from "node:test";
import { Arrivals } from "../support/arrivals.ts";
import { type TunnelFacts, TunnelStage } from "../support/tunnel_stage.ts";

/** Patience of both sides, a tenth of what they have by default. */
const SCALED = ["--ping-interval-ms", "500", "--tunnel-timeout-ms", "2000"];

/** One connector, an app behind it, and how often the broker has seen a tunnel end. */
async function start(t: TestContext) {
  const ended = new Arrivals();
  const stage = await TunnelStage.start({
    connectorArgs: SCALED,
    prepare: () => Promise.resolve(SCALED),
    onBrokerLog: (line) => line.includes('"tunnel closed"') && ended.add(),
  });
  t.after(() => stage[Symbol.asyncDispose]());
  const { origin } = await stage.backend((_req, res) => void res.end("ok"));
  await stage.publish("/", origin);
  const { tunnels: [tunnel] } = await stage.until("it has a tunnel", ({ tunnels }) => tunnels.length === 1);
  return { stage, ended, tunnel: tunnel! };
}

/** Resolves when another tunnel than this one is the only one, and serves. */
async function backWithout(stage: TunnelStage, old: TunnelFacts): Promise<void> {
  await stage.until(
    "another tunnel alone",
    ({ tunnels }) => tunnels.length === 1 && tunnels[0]!.connectedAt !== old.connectedAt,
  );
  assert.equal((await fetch(stage.url())).status, 200);
}

test("a NAT that forgets an idle connection: another tunnel is there without a request, and the old one ends by itself", async (t) => {
  const { stage, ended, tunnel } = await start(t);
  stage.relay.silence();
  await ended.reached(1);
  await backWithout(stage, tunnel);
});

test("a network that changes: what was open is dead and nothing can be dialled for a while; it is back once something can", async (t) => {
  const { stage, ended, tunnel } = await start(t);
  const port = stage.relay.target;
  const from = stage.connectorLog.length;
  stage.relay.silence();
  stage.relay.target = 0;
  await ended.reached(1);
  await stage.logged("tunnel lost", from);
  await stage.logged('"no tunnel"', from);
  stage.relay.target = port;
  await backWithout(stage, tunnel);
});

test("a connector that was suspended for longer than the broker has patience is back by itself", async (t) => {
  const { stage, ended, tunnel } = await start(t);
  const { child } = stage.connector;
  const before = ended.count;
  child.signal("SIGSTOP");
  try {
    await ended.reached(before + 1);
    assert.equal((await stage.facts()).connected, false);
    // It wakes up some time after the broker has given it up.
    await delay(1_000);
  } finally {
    child.signal("SIGCONT");
  }
  await backWithout(stage, tunnel);
  assert.equal(child.exit, null);
});

test("a broker that was suspended for longer than its connector has patience is found again", async (t) => {
  const { stage, tunnel } = await start(t);
  const { child } = stage.broker;
  const from = stage.connectorLog.length;
  child.signal("SIGSTOP");
  try {
    await stage.logged("tunnel lost", from);
  } finally {
    child.signal("SIGCONT");
  }
  await backWithout(stage, tunnel);
});
