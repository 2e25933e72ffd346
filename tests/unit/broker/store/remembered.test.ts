import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { StoreError } from "../../../../src/broker/store/errors.ts";
import { RememberedStore, type TunnelStore } from "../../../../src/broker/store/remembered.ts";
import { DEFAULT_GROUP_ID } from "../../../../src/broker/model.ts";
import { admit } from "../../../../src/broker/tunnel/admission.ts";
import { ADMIN, appSettings, enrolOne, temporaryStore } from "../../../support/store_fixture.ts";

/** A store whose reads fail once `fails` is set. */
async function failing(t: TestContext) {
  const { store, clock } = await temporaryStore(t);
  const state = { fails: false };
  const guard = <A extends unknown[], R>(call: (...args: A) => Promise<R>) => (...args: A): Promise<R> =>
    state.fails ? Promise.reject(new StoreError("store_unavailable", "The disk failed")) : call(...args);
  const shaky: TunnelStore = {
    ...store,
    getConnector: guard(store.getConnector),
    findCertificate: guard(store.findCertificate),
    getSettings: guard(store.getSettings),
    appChanges: guard(store.appChanges),
  };
  const remembered = new RememberedStore(shaky);
  t.after(() => remembered[Symbol.dispose]());
  const enrolled = async (name: string) => {
    const { connector } = await enrolOne(store, clock, name);
    const times = { notBefore: 1, notAfter: 1_900_000_000_000 };
    await store.setConnectorCertificate(connector.id, {
      serial: name,
      ...times,
      publicKeySha256: name,
      pem: "PEM",
    });
    return { connectorId: connector.id, serial: name };
  };
  return { store, state, remembered, enrolled };
}

test("remembered store: a connector that came before is admitted while the store fails, an unknown one is not", async (t) => {
  const { state, remembered, enrolled } = await failing(t);
  const known = await enrolled("known");
  const stranger = await enrolled("stranger");
  await admit(remembered, known);
  state.fails = true;
  assert.equal((await admit(remembered, known)).id, known.connectorId);
  await assert.rejects(admit(remembered, stranger), { code: "store_unavailable" });
  state.fails = false;
  assert.equal((await admit(remembered, stranger)).id, stranger.connectorId);
});

test("remembered store: whoever was revoked, disabled or deleted before stays out while the store fails", async (t) => {
  const { store, state, remembered, enrolled } = await failing(t);
  const revoked = await enrolled("revoked");
  const disabled = await enrolled("disabled");
  const deleted = await enrolled("deleted");
  for (const one of [revoked, disabled, deleted]) await admit(remembered, one);
  await store.revokeCertificate(ADMIN, revoked.serial, "lost");
  await store.updateConnector(ADMIN, disabled.connectorId, { enabled: false });
  await store.deleteConnector(ADMIN, deleted.connectorId);
  await assert.rejects(admit(remembered, revoked), { code: "certificate_revoked" });
  state.fails = true;
  await assert.rejects(admit(remembered, revoked), { code: "certificate_revoked" });
  await assert.rejects(admit(remembered, disabled), { code: "store_unavailable" });
  await assert.rejects(admit(remembered, deleted), { code: "store_unavailable" });
});

test("remembered store: apps are answered as last read, whole or as unchanged, and read again afterwards", async (t) => {
  const { store, state, remembered } = await failing(t);
  const wiki = await store.createApp(ADMIN, appSettings("Wiki"));
  const { revision } = await remembered.appChanges(DEFAULT_GROUP_ID, 0);
  const mail = await store.createApp(ADMIN, appSettings("Mail"));
  const next = await remembered.appChanges(DEFAULT_GROUP_ID, revision);
  await store.deleteApp(ADMIN, wiki.id);
  const last = await remembered.appChanges(DEFAULT_GROUP_ID, next.revision);
  state.fails = true;
  const unchanged = await remembered.appChanges(DEFAULT_GROUP_ID, last.revision);
  assert.deepEqual(unchanged, { revision: last.revision, full: false, apps: [], removedIds: [] });
  const whole = await remembered.appChanges(DEFAULT_GROUP_ID, 0);
  assert.deepEqual([whole.full, whole.apps.map(({ id }) => id)], [true, [mail.id]]);
  await assert.rejects(remembered.appChanges("elsewhere", 0), { code: "store_unavailable" });
  state.fails = false;
  await store.createApp(ADMIN, appSettings("Files"));
  assert.equal((await remembered.appChanges(DEFAULT_GROUP_ID, 0)).apps.length, 2);
});

test("remembered store: settings are those last read", async (t) => {
  const { state, remembered } = await failing(t);
  const settings = await remembered.getSettings();
  state.fails = true;
  assert.deepEqual(await remembered.getSettings(), settings);
});
