import assert from "node:assert/strict";
import { duplexPair } from "node:stream";
import { test, type TestContext } from "node:test";
import { Announcements } from "../../../../src/broker/tunnel/announcements.ts";
import { Instances } from "../../../../src/broker/tunnel/instances.ts";
import type { BrokerTunnel } from "../../../../src/broker/tunnel/tunnel.ts";
import { silentLog } from "../../../../src/platform/log.ts";
import { ControlChannel } from "../../../../src/tunnel/control_channel.ts";
import { ADMIN, appSettings, enrolOne, temporaryStore } from "../../../support/store_fixture.ts";

/**
 * A tunnel of a connector of the default group, with a real control stream, beside a real store; `told` gives what the
 * connector has been told since it was last asked, as soon as the event loop has turned so often that streams have passed
 * on what they had. No time passes in that: what waits for a timer, even the shortest, has not been told.
 */
async function announced(t: TestContext) {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  t.after(() => t.mock.timers.reset()); // Deno does not do that by itself.
  const { store, clock } = await temporaryStore(t);
  const { connector } = await enrolOne(store, clock);
  const heard: string[] = [];
  const [ours, theirs] = duplexPair();
  const nothing = {
    request: () => Promise.resolve("unsupported" as const),
    received: () => {},
    closed: () => {},
  };
  const control = new ControlChannel(ours, { ...nothing, notice: () => {} });
  new ControlChannel(theirs, { ...nothing, notice: (type) => void heard.push(type) });
  const tunnel = {
    control,
    connectorId: connector.id,
    groupId: connector.groupId,
    move: (groupId: string) => void heard.push(`moved to ${groupId}`),
    close: () => {},
  } as unknown as BrokerTunnel;
  const identities = { trustAnchors: () => "" };
  const announcements = new Announcements(
    { store, identities, log: silentLog },
    new Instances(silentLog),
    () => [tunnel],
  );
  t.after(() => announcements[Symbol.dispose]());
  const told = async () => {
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    return heard.splice(0);
  };
  return { store, connector, told };
}

test("a change of apps is on its way to their connectors when it is made: nothing waits for a timer", async (t) => {
  const { store, told } = await announced(t);
  const app = await store.createApp(ADMIN, appSettings("Wiki"));
  assert.deepEqual(await told(), ["config.changed"]);
  await store.updateApp(ADMIN, app.id, { name: "Other" });
  assert.deepEqual(await told(), ["config.changed"]);
  await store.deleteApp(ADMIN, app.id);
  assert.deepEqual(await told(), ["config.changed"]);
});

test("a change of another group's apps is no news", async (t) => {
  const { store, told } = await announced(t);
  const { id } = await store.createGroup(ADMIN, "Other");
  await store.createApp(ADMIN, appSettings("Wiki", { groupId: id }));
  assert.deepEqual(await told(), []);
});

test("a connector that is moved, or shut out, is so at once", async (t) => {
  const { store, connector, told } = await announced(t);
  const { id } = await store.createGroup(ADMIN, "Other");
  await store.updateConnector(ADMIN, connector.id, { groupId: id });
  assert.deepEqual(await told(), [`moved to ${id}`]);
  await store.updateConnector(ADMIN, connector.id, { enabled: false });
  assert.deepEqual(await told(), ["revoked"]);
});
