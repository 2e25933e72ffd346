import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { dataFolder } from "../../src/broker/data_folder.ts";
import { DEFAULT_GROUP_ID } from "../../src/broker/model.ts";
import { openStore } from "../../src/broker/store/sqlite.ts";
import type { Fields } from "../../src/tunnel/control_channel.ts";
import { type ForeignConnector, foreignConnector } from "../support/foreign_connector.ts";
import { ADMIN, appSettings } from "../support/store_fixture.ts";
import { TunnelStage } from "../support/tunnel_stage.ts";
import { until } from "../support/until.ts";
import { Users } from "../support/user_requests.ts";

const APPS = 10_000;

let stage: TunnelStage;
let users: Users;
/** Origins of two backends that answer with their names. */
let one: string;
let two: string;
/** Ids of the apps that the store was filled with. */
let appIds: string[];

before(async () => {
  stage = await TunnelStage.start({
    prepare: async ({ dataDir }) => {
      const store = await openStore({ path: dataFolder(dataDir).store });
      const created = await Promise.all(
        Array.from({ length: APPS }, (_, i) => store.createApp(ADMIN, appSettings(`app${i}`))),
      );
      appIds = created.map(({ id }) => id);
      await store.close();
      return ["--wait-for-connector-ms", "500"];
    },
  });
  users = new Users();
  one = (await stage.backend((_req, res) => res.end("one"))).origin;
  two = (await stage.backend((_req, res) => res.end("two"))).origin;
});

after(async () => {
  users[Symbol.dispose]();
  await stage[Symbol.asyncDispose]();
});

interface Pulled {
  parts: Fields[];
  last: Fields;
  bytes: number;
}

/** What a connector of the same identity gets that knows this revision. */
async function pull(connector: ForeignConnector, since: number, groupId = DEFAULT_GROUP_ID): Promise<Pulled> {
  const before = connector.bytesReceived;
  const parts: Fields[] = [];
  const last = await connector.control.request(
    "config.pull",
    { groupId, since },
    20_000,
    (part) => parts.push(part),
  );
  return { parts, last, bytes: connector.bytesReceived - before };
}

/** Changes an app and waits, without any request of a user, until the connector has asked for it. */
async function changeApp(id: string, patch: Record<string, unknown>): Promise<{ revision: number }> {
  const app = await stage.broker.admin.request("PATCH", `apps/${id}`, patch) as { revision: number };
  // Its own pulls are two minutes apart: only the notice can have told it.
  await stage.until(
    "the connector has pulled",
    ({ tunnels }) => tunnels[0]!.configRevision >= app.revision,
  );
  return app;
}

/** What a user gets who asks now: the body, or a status other than 200. */
async function answer(path: string): Promise<string> {
  const { status, body } = await users.get(stage.url(path));
  return status === 200 ? body : String(status);
}

/** A user who asks now gets this; later only where the broker has said that a change took longer than its answer waits. */
async function serves(path: string, expected: string): Promise<void> {
  let got = await answer(path);
  if (got !== expected && stage.brokerLog.some((line) => line.includes("before it is in force"))) {
    const holds = async () => (got = await answer(path)) === expected;
    await until(`${path} is ${expected}`, holds, { more: () => `It is ${got}.` });
  }
  assert.equal(got, expected);
}

test("10,000 apps come in parts; an unchanged pull costs a few bytes; one change does not resend all", async () => {
  using connector = await foreignConnector(stage.stateDir);
  const whole = await pull(connector, 0);
  assert.ok(whole.parts.length >= 4, `${whole.parts.length} parts`);
  const apps = [...whole.parts, whole.last].flatMap((part) => part.apps as { id: string }[]);
  assert.equal(apps.length, APPS);
  assert.equal(whole.last.full, true);
  const revision = whole.last.revision as number;

  const unchanged = await pull(connector, revision);
  assert.equal(unchanged.last.unchanged, true);
  assert.ok(unchanged.bytes <= 100, `${unchanged.bytes} bytes`);

  const { bytesDown } = stage.relay;
  await changeApp(appIds[5_000]!, { internalUrl: one });
  assert.ok(stage.relay.bytesDown - bytesDown < 16_384, `${stage.relay.bytesDown - bytesDown} bytes`);
  const changed = await pull(connector, revision);
  assert.equal((changed.last.apps as unknown[]).length, 1);
  assert.equal(changed.last.full, false);
  assert.ok(changed.bytes <= 1_024, `${changed.bytes} bytes`);
});

test("a new app and its changes are served at once, those of 10,000 others stay", async () => {
  const id = await stage.publish("/changing", one);
  await serves("/changing", "one");
  await changeApp(id, { internalUrl: two });
  await serves("/changing", "two");
  await changeApp(appIds[7]!, { internalUrl: one, externalUrls: [stage.url("/seven")] });
  await serves("/seven", "one");
  await stage.broker.admin.request("DELETE", `apps/${id}`);
  await serves("/changing", "404");
});

test("an app, and then the connector, moves to another group", async () => {
  const group = await stage.broker.admin.request("POST", "groups", { name: "Elsewhere" }) as { id: string };
  const id = await stage.publish("/moving", one);
  await stage.publish("/staying", two);
  await serves("/moving", "one");
  await serves("/staying", "two");

  await stage.broker.admin.request("PATCH", `apps/${id}`, { groupId: group.id });
  await serves("/moving", "503");
  await serves("/staying", "two");

  const connectedAt = (await stage.facts()).tunnels[0]!.connectedAt;
  await stage.broker.admin.request("PATCH", `connectors/${stage.connectorId}`, { groupId: group.id });
  await serves("/moving", "one");
  await serves("/staying", "503");
  const facts = await stage.facts();
  assert.equal(facts.memberOf.name, "Elsewhere");
  assert.equal(facts.tunnels[0]!.connectedAt, connectedAt, "the tunnel is the same");

  await stage.broker.admin.request("PATCH", `connectors/${stage.connectorId}`, { groupId: DEFAULT_GROUP_ID });
  await serves("/staying", "two");
});

test("version.poll is answered with what the administrator has set; the API shows versions", async () => {
  const wanted = { latestVersion: "9.9.9", desiredConnectorVersion: "9.9.8" };
  await stage.broker.admin.request("PATCH", "settings", wanted);
  using connector = await foreignConnector(stage.stateDir);
  const { latest, desired } = await connector.control.request("version.poll", {}, 10_000);
  assert.deepEqual({ latest, desired }, { latest: "9.9.9", desired: "9.9.8" });
  connector[Symbol.dispose]();
  const facts = await stage.until("one tunnel is left", ({ tunnels }) => tunnels.length === 1);
  assert.match(facts.version, /^\d+\.\d+\.\d+/);
  assert.equal(facts.latestVersion, "9.9.9");
  assert.equal(facts.desiredVersion, "9.9.8");
});

test("a connector that is disabled loses its tunnel and is refused; enabled and started again, it is back", async () => {
  const from = stage.connectorLog.length;
  await stage.broker.admin.request("PATCH", `connectors/${stage.connectorId}`, { enabled: false });
  const { connected, status } = await stage.until("its tunnel is gone", ({ connected }) => !connected);
  assert.deepEqual({ connected, status }, { connected: false, status: "disabled" });
  const refused = await stage.logged('"shut out by the broker"', from);
  assert.equal(refused.code, "connector_disabled");

  await stage.broker.admin.request("PATCH", `connectors/${stage.connectorId}`, { enabled: true });
  await stage.connector.stop(); // It would wait for minutes: who is refused for good does not knock all the time.
  await stage.startConnector();
  await stage.until("it is back", ({ connected }) => connected);
  // It asked anew which version it should run.
  const { desired } = await stage.logged("another version should run", from);
  assert.equal(desired, "9.9.8");
});

test("a connector that is deleted loses its tunnel and is refused", async () => {
  const from = stage.connectorLog.length;
  await stage.broker.admin.request("DELETE", `connectors/${stage.connectorId}`);
  const refused = await stage.logged('"shut out by the broker"', from);
  assert.equal(refused.code, "connector_unknown");
  assert.deepEqual(await stage.broker.admin.connectors(), []);
});
