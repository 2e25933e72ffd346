import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { TunnelStage } from "../support/tunnel_stage.ts";
import { Users } from "../support/user_requests.ts";

let stage: TunnelStage;
let users: Users;

before(async () => {
  stage = await TunnelStage.start({
    prepare: () => Promise.resolve(["--wait-for-connector-ms", "30000"]),
  });
  users = new Users();
  const { origin } = await stage.backend((_req, res) => res.end("served"));
  await stage.publish("/", origin);
});

after(async () => {
  users[Symbol.dispose]();
  await stage[Symbol.asyncDispose]();
});

test("a connection that is cut is dialled again; requests that come meanwhile wait and succeed", async () => {
  const { instanceId, connectedAt } = (await stage.facts()).tunnels[0]!;
  const accepted = stage.relay.accepted;
  stage.relay.cut();
  // A request that is on its way before the broker has noticed is lost with the tunnel.
  await stage.until(
    "the broker has noticed",
    ({ tunnels }) => tunnels.every((one) => one.connectedAt !== connectedAt),
  );
  const answers = await Promise.all(Array.from({ length: 100 }, () => users.get(stage.url())));
  assert.deepEqual(new Set(answers.map(({ status, body }) => `${status} ${body}`)), new Set(["200 served"]));
  assert.ok(stage.relay.accepted > accepted);
  const { tunnels } = await stage.until("the old tunnel is gone", ({ tunnels }) => tunnels.length === 1);
  assert.equal(tunnels[0]!.instanceId, instanceId, "the same process");
});

test("a broker that is killed and started again has its connector back; requests that come meanwhile wait", async () => {
  const { instanceId } = (await stage.facts()).tunnels[0]!;
  const from = stage.connectorLog.length;
  stage.broker.child.signal("SIGKILL");
  await stage.broker.child.exited;
  // It has found nobody there at least once.
  const { code } = await stage.logged('"no tunnel"', from);
  assert.match(String(code), /^broker_(lost|unreachable|timeout)$/);
  await stage.startBroker();
  const answers = await Promise.all(Array.from({ length: 100 }, () => users.get(stage.url())));
  assert.deepEqual(new Set(answers.map(({ status, body }) => `${status} ${body}`)), new Set(["200 served"]));
  assert.equal((await stage.facts()).tunnels[0]!.instanceId, instanceId, "the same process");
});

test("a connector that is killed and started again serves what waited for it", async () => {
  stage.connector.child.signal("SIGKILL");
  await stage.connector.child.exited;
  await stage.until("its tunnel is gone", ({ connected }) => !connected);
  const answer = users.get(stage.url());
  await stage.startConnector();
  assert.equal((await answer).body, "served");
});
