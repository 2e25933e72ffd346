import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { InactiveConnectors } from "../../../src/broker/inactive_connectors.ts";
import type { Store } from "../../../src/broker/store/port.ts";
import { ADMIN, temporaryStore } from "../../support/store_fixture.ts";

const DAY = 86_400_000;
const SILENT = { error() {}, warn() {}, info() {}, debug() {} };

async function enrolled(store: Store, count: number): Promise<string[]> {
  const { record, secretSha256 } = await newToken(store, count);
  assert.equal(record.maxUses, count);
  const ids: string[] = [];
  for (let i = 0; i < count; i++) {
    const { id } = await store.enrolConnector(secretSha256, {
      machineName: `m${i}`,
      os: "linux",
      softwareVersion: "1",
      externalIp: "192.0.2.1",
      publicKeySha256: String(i).padStart(64, "0"),
    }, 1_800_000_000_000);
    ids.push(id);
  }
  return ids.sort();
}

async function newToken(store: Store, maxUses: number) {
  const secretSha256 = "a".repeat(64);
  const record = await store.createEnrolmentToken(ADMIN, {
    description: "",
    groupId: "default",
    expiresAt: 2_000_000_000_000,
    maxUses,
    secretSha256,
  });
  return { record, secretSha256 };
}

async function watched(t: TestContext, count: number) {
  const { store, clock } = await temporaryStore(t);
  const ids = await enrolled(store, count);
  const watch = { now: 0, connected: [] as string[] };
  const sweep = new InactiveConnectors({
    store,
    connected: () => watch.connected,
    removeAfterMs: 10 * DAY,
    log: SILENT as never,
    now: () => watch.now,
  });
  t.after(() => sweep[Symbol.dispose]());
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 60_000) {
      watch.now += 60_000;
      await sweep.check();
    }
  };
  const left = async () => (await store.listConnectors({ limit: 100 })).items.map(({ id }) => id).sort();
  return { store, clock, ids, watch, sweep, pass, left };
}

test("a connector without a tunnel is removed when its time is over, with an audit entry; a connected one stays", async (t) => {
  const { store, ids, watch, pass, left } = await watched(t, 2);
  watch.connected = [ids[0]!];
  await pass(DAY / 24);
  assert.deepEqual(await left(), ids);
  // The rest of the ten days at once would not count: see below. In the store it does.
  await store.noteAbsence([ids[0]!], 10 * DAY - DAY / 24 - 120_000, Number.MAX_SAFE_INTEGER);
  await pass(60_000);
  assert.deepEqual(await left(), ids, "a minute is missing");
  await pass(120_000);
  assert.deepEqual(await left(), [ids[0]]);
  const { items } = await store.listAudit({ limit: 10 });
  assert.equal(
    items.some(({ action, actor }) => action === "connector.delete" && actor.kind === "system"),
    true,
  );
});

test("an absence ends with a tunnel: it begins anew", async (t) => {
  const { store, ids, watch, pass, left } = await watched(t, 1);
  await store.noteAbsence([], 10 * DAY - 60_000, Number.MAX_SAFE_INTEGER);
  watch.connected = ids;
  await pass(60_000);
  watch.connected = [];
  await pass(180_000);
  assert.deepEqual(await left(), ids);
});

test("a disabled connector is not removed, and its time begins when it is enabled again", async (t) => {
  const { store, ids, pass, left } = await watched(t, 1);
  await store.updateConnector(ADMIN, ids[0]!, { enabled: false });
  await store.noteAbsence([], 20 * DAY, Number.MAX_SAFE_INTEGER);
  await pass(180_000);
  assert.deepEqual(await left(), ids);
  await store.updateConnector(ADMIN, ids[0]!, { enabled: true });
  await store.noteAbsence([], 10 * DAY - 60_000, Number.MAX_SAFE_INTEGER);
  assert.deepEqual(await left(), ids);
  await pass(120_000);
  assert.deepEqual(await left(), []);
});

test("a suspended process and a step of the wall clock remove nobody", async (t) => {
  const { clock, ids, watch, sweep, left } = await watched(t, 1);
  clock.time += 400 * DAY;
  watch.now += 400 * DAY;
  await sweep.check();
  await sweep.check();
  assert.deepEqual(await left(), ids);
});
