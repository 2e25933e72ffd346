import assert from "node:assert/strict";
import { test } from "node:test";
import { ADMIN, enrolOne, newConnector, temporaryStore } from "../../../support/store_fixture.ts";

test("connectors: update moves, disables and enables; the same values are no change", async (t) => {
  const { store, clock, changes } = await temporaryStore(t);
  const { connector } = await enrolOne(store, clock);
  const { id: groupId } = await store.createGroup(ADMIN, "Branch");
  changes.length = 0;
  clock.time += 3;
  const moved = await store.updateConnector(ADMIN, connector.id, { groupId, enabled: false }, 1);
  assert.deepEqual(moved, { ...connector, groupId, enabled: false, version: 2, updatedAt: clock.time });
  assert.deepEqual(await store.getConnector(connector.id), moved);
  assert.deepEqual(await store.updateConnector(ADMIN, connector.id, { groupId, enabled: false }), moved);
  assert.deepEqual(changes, [{ kind: "connector", id: connector.id, what: "updated" }]);
  const [entry] = (await store.listAudit({ limit: 1 })).items;
  assert.deepEqual([entry!.action, entry!.details], ["connector.update", { groupId, enabled: false }]);
  await assert.rejects(store.updateConnector(ADMIN, connector.id, {}, 1), { code: "version_conflict" });
  await assert.rejects(store.updateConnector(ADMIN, connector.id, { groupId: "x" }), { code: "not_found" });
});

test("connectors: lists page, by group too", async (t) => {
  const { store, clock } = await temporaryStore(t);
  const { id: groupId } = await store.createGroup(ADMIN, "Branch");
  const a = (await enrolOne(store, clock, "a", groupId)).connector;
  const b = (await enrolOne(store, clock, "b")).connector;
  const c = (await enrolOne(store, clock, "c", groupId)).connector;
  const all = [a, b, c].sort((x, y) => x.id < y.id ? -1 : 1);
  const first = await store.listConnectors({ limit: 2 });
  const rest = await store.listConnectors({ limit: 2, cursor: first.next! });
  assert.deepEqual([...first.items, ...rest.items], all);
  assert.deepEqual(
    (await store.listConnectors({ limit: 5, groupId })).items,
    all.filter((one) => one.id !== b.id),
  );
});

test("connectors: what a tunnel shows is noted, without a new version or an audit entry", async (t) => {
  const { store, clock } = await temporaryStore(t);
  const { connector } = await enrolOne(store, clock);
  const entries = (await store.listAudit({ limit: 100 })).items.length;
  await store.noteConnectorSeen(connector.id, {
    at: 500,
    externalIp: "203.0.113.9",
    softwareVersion: "0.2.0",
  });
  await store.noteConnectorSeen(connector.id, { at: 400, machineName: "new", os: "windows" });
  assert.deepEqual(await store.getConnector(connector.id), {
    ...connector,
    lastSeenAt: 500,
    externalIp: "203.0.113.9",
    softwareVersion: "0.2.0",
    machineName: "new",
    os: "windows",
  });
  assert.equal((await store.listAudit({ limit: 100 })).items.length, entries);
  await assert.rejects(store.noteConnectorSeen("x", { at: 1 }), { code: "not_found" });
  assert.equal((await store.createGroup(ADMIN, "After a note that failed")).version, 1);
});

const certificate = (serial: string, notAfter: number, pem: string) => ({
  serial,
  notBefore: 0,
  notAfter,
  pem,
  publicKeySha256: `key of ${serial}`,
});

test("connectors: the newest certificate is the one given", async (t) => {
  const { store, clock, changes } = await temporaryStore(t);
  const { connector } = await enrolOne(store, clock);
  changes.length = 0;
  assert.equal(await store.connectorCertificate(connector.id), null);
  await store.setConnectorCertificate(connector.id, certificate("0a", clock.time + 10, "ONE"));
  await store.setConnectorCertificate(connector.id, certificate("0b", clock.time + 20, "TWO"));
  assert.equal(await store.connectorCertificate(connector.id), "TWO");
  const now = await store.getConnector(connector.id);
  assert.deepEqual([now.certificateSerial, now.certificateNotAfter, now.version], ["0b", clock.time + 20, 3]);
  assert.deepEqual(changes.at(-1), { kind: "connector", id: connector.id, what: "updated" });
  const [entry] = (await store.listAudit({ limit: 1 })).items;
  assert.deepEqual(entry!.actor, { kind: "connector", id: connector.id });
  assert.deepEqual(entry!.details, { serial: "0b", notAfter: clock.time + 20 });
  await assert.rejects(store.connectorCertificate("x"), { code: "not_found" });
  await assert.rejects(store.setConnectorCertificate("x", certificate("0c", 1, "X")), { code: "not_found" });
});

test("connectors: a deleted one is gone, and its key may enrol anew", async (t) => {
  const { store, clock, changes } = await temporaryStore(t);
  const { connector, secretSha256 } = await enrolOne(store, clock);
  await store.setConnectorCertificate(connector.id, certificate("0a", clock.time + 10, "ONE"));
  await assert.rejects(store.deleteConnector(ADMIN, connector.id, 1), { code: "version_conflict" });
  await store.deleteConnector(ADMIN, connector.id, 2);
  assert.deepEqual(changes.at(-1), { kind: "connector", id: connector.id, what: "deleted" });
  await assert.rejects(store.getConnector(connector.id), { code: "not_found" });
  await assert.rejects(store.deleteConnector(ADMIN, connector.id), { code: "not_found" });
  const again = await store.enrolConnector(secretSha256, newConnector("a"), clock.time);
  assert.notEqual(again.id, connector.id);
});
