import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type ConnectorProcess, startConnector } from "../../src/demo/processes.ts";
import { DEFAULT_TIMEOUTS } from "../../src/protocol/app.ts";
import { connectorRuntime } from "../support/connector_runtime.ts";
import { ForeignBroker } from "../support/foreign_broker.ts";
import { type TcpRelay, tcpRelay } from "../support/tcp_relay.ts";

const stack = new AsyncDisposableStack();
let broker: ForeignBroker;
let relay: TcpRelay;
let connector: ConnectorProcess;
let origin: string;
/** Codes with which tunnels were lost, as the connector logged them. */
const lost: unknown[] = [];

before(async () => {
  const folder = await mkdtemp(join(tmpdir(), "sallyport-foreign-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  broker = stack.use(await ForeignBroker.start());
  const backend = createServer((_req, res) => res.end("served")).listen(0, "127.0.0.1");
  await once(backend, "listening");
  stack.defer(async () => {
    const closed = once(backend, "close");
    backend.close();
    backend.closeAllConnections();
    await closed;
  });
  origin = `http://127.0.0.1:${(backend.address() as AddressInfo).port}`;
  relay = stack.use(await tcpRelay());
  relay.target = broker.port;
  connector = await startConnector({
    stateDir: await broker.register(folder, Number(relay.address.split(":")[1])),
    runtime: connectorRuntime(),
    onLog: (line) => {
      const { message, code } = JSON.parse(line);
      if (message === "tunnel lost") lost.push(code);
    },
    // Another tunnel is dialled after two fifths of this: not because this process is busy with thousands of lanes.
    args: ["--ping-interval-ms", "200", "--tunnel-timeout-ms", "10000", "--log-format", "json"],
  });
  stack.defer(() => connector.stop());
});

after(() => stack.disposeAsync());

function app(id: string, revision: number) {
  return { id, revision, origin, timeouts: DEFAULT_TIMEOUTS, tls: { validate: true } };
}

/** Answers pulls with one app at this revision; gives what was asked. */
function publish(id: string, revision: number): { since: unknown[] } {
  const asked = { since: [] as unknown[] };
  broker.pull = async ({ since }, reply) => {
    asked.since.push(since);
    if (since === revision) return await reply({ unchanged: true, groupId: "g", revision });
    await reply({ groupId: "g", revision, full: false, apps: [app(id, revision)], removedIds: [] });
  };
  return asked;
}

test("a connector that is behind the revision of a request pulls first, then serves", async () => {
  await broker.tunnel.laneCount.reached(16);
  const asked = publish("app_2", 2);
  const answer = await broker.tunnel.exchange("app_2", 2);
  assert.deepEqual(answer, { status: 200, body: "served", abort: null });
  assert.deepEqual(asked.since, [1], "one pull, without a notice");
  // Now that it knows, it does not ask again.
  assert.equal((await broker.tunnel.exchange("app_2", 2)).status, 200);
  assert.equal(asked.since.length, 1);
});

test("requests that find the connector behind share pulls", async () => {
  const asked = publish("app_3", 3);
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => broker.tunnel.exchange("app_3", 3)),
  );
  assert.deepEqual(answers.map(({ status }) => status), Array(8).fill(200));
  assert.ok(asked.since.length <= 2, `${asked.since.length} pulls`);
});

test("an app that the connector does not know after a pull is refused as not begun", async () => {
  publish("app_3", 4);
  const { abort, status } = await broker.tunnel.exchange("app_9", 4);
  assert.deepEqual(abort, { code: "app_unknown", begun: false });
  assert.equal(status, 0);
});

test("an app of a group with lower revisions is pulled, too", async () => {
  // The connector was moved: its new group's revisions have nothing to do with those of the old one.
  broker.pull = (_fields, reply) =>
    reply({ groupId: "other", revision: 2, full: true, apps: [app("app_of_other", 2)], removedIds: [] });
  const answer = await broker.tunnel.exchange("app_of_other", 2);
  assert.deepEqual(answer, { status: 200, body: "served", abort: null });
});

test("5,000 lanes that the broker resets at once leave the tunnel up", async () => {
  const { tunnel } = broker;
  const before = tunnel.laneCount.count;
  tunnel.control.notice("lanes.want", { n: 5_000 });
  await tunnel.laneCount.reached(before + 5_000);
  tunnel.lanes.length = 0;
  for (const lane of tunnel.open) lane.destroy(new Error("reset by the test"));
  // The connector opens new ones, and serves on them.
  await tunnel.laneCount.reached(before + 5_008);
  assert.equal((await tunnel.exchange("app_of_other", 2)).status, 200);
  assert.equal(broker.tunnelCount.count, 1, "the tunnel is the same");
  assert.equal(connector.child.exit, null);
});

test("a broker that says goaway gets a new tunnel; the connector lives on", async () => {
  const { tunnel } = broker;
  const before = broker.tunnelCount.count;
  tunnel.session.goaway();
  // Lanes that are taken away now cannot be replaced on this session.
  for (const lane of tunnel.open) lane.end();
  await broker.tunnelCount.reached(before + 1);
  await broker.tunnel.laneCount.reached(16);
  assert.equal((await broker.tunnel.exchange("app_of_other", 2)).status, 200);
  assert.deepEqual(lost, ["broker_lost"]);
  assert.equal(connector.child.exit, null);
});

test("garbage on the control stream ends the tunnel; a new one comes", async () => {
  const before = broker.tunnelCount.count;
  const { tunnel } = broker;
  broker.pull = (_fields, reply) => reply({ groupId: 7, nonsense: true });
  tunnel.control.notice("config.changed");
  // An answer that cannot be read is no reason to end what works; a broken frame is.
  assert.equal((await tunnel.exchange("app_of_other", 2)).status, 200);
  broker.pull = (_fields, reply) =>
    reply({ groupId: "other", revision: 2, full: true, apps: [app("app_of_other", 2)], removedIds: [] });
  tunnel.control.destroy(new Error("cut by the test"));
  await broker.tunnelCount.reached(before + 1);
  await tunnel.closed;
  await broker.tunnel.laneCount.reached(16);
  assert.equal((await broker.tunnel.exchange("app_of_other", 2)).status, 200);
});

test("a broker that falls silent is left for a new tunnel", async () => {
  const before = broker.tunnelCount.count;
  relay.silence();
  await broker.tunnelCount.reached(before + 1);
  await broker.tunnel.laneCount.reached(16);
  assert.equal((await broker.tunnel.exchange("app_of_other", 2)).status, 200);
});
