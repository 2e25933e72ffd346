import assert from "node:assert/strict";
import { test } from "node:test";
import { ADMIN, enrolOne, temporaryStore } from "../../../support/store_fixture.ts";

const certificate = (serial: string, publicKeySha256 = `key of ${serial}`) => ({
  serial,
  notBefore: 1,
  notAfter: 1_900_000_000_000,
  publicKeySha256,
  pem: `PEM of ${serial}`,
});

test("certificates: on record with all that is known of them, listed by connector and by revocation", async (t) => {
  const { store, clock } = await temporaryStore(t);
  const { connector } = await enrolOne(store, clock);
  const other = (await enrolOne(store, clock, "b")).connector;
  await store.setConnectorCertificate(connector.id, certificate("0a"));
  await store.setConnectorCertificate(connector.id, certificate("0b"));
  await store.setConnectorCertificate(other.id, certificate("0c"));
  const { pem, ...record } = (await store.findCertificate("0b"))!;
  const { pem: _, ...given } = certificate("0b");
  assert.equal(pem, "PEM of 0b");
  const unused = { usedAt: null, revokedAt: null, revocationReason: null };
  assert.deepEqual(record, { ...given, connectorId: connector.id, issuedAt: clock.time, ...unused });
  assert.equal(await store.findCertificate("ff"), null);

  await store.revokeCertificate(ADMIN, "0a", "laptop stolen");
  const serials = async (query: { connectorId?: string; revoked?: boolean }) =>
    (await store.listCertificates({ limit: 10, ...query })).items.map(({ serial }) => serial);
  assert.deepEqual(await serials({}), ["0a", "0b", "0c"]);
  assert.deepEqual(await serials({ connectorId: connector.id }), ["0a", "0b"]);
  assert.deepEqual(await serials({ revoked: true }), ["0a"]);
  assert.deepEqual(await serials({ revoked: false, connectorId: connector.id }), ["0b"]);
  const first = await store.listCertificates({ limit: 2 });
  const rest = await store.listCertificates({ limit: 2, cursor: first.next! });
  assert.deepEqual([...first.items, ...rest.items].length, 3);
});

test("certificates: one is revoked alone, once, with an audit entry and a change notice", async (t) => {
  const { store, clock, changes } = await temporaryStore(t);
  const { connector } = await enrolOne(store, clock);
  await store.setConnectorCertificate(connector.id, certificate("0a"));
  const revoked = await store.revokeCertificate(ADMIN, "0a", "laptop stolen");
  assert.deepEqual([revoked.revokedAt, revoked.revocationReason], [clock.time, "laptop stolen"]);
  assert.deepEqual(changes.at(-1), {
    kind: "certificate",
    serial: "0a",
    connectorId: connector.id,
    what: "revoked",
  });
  const [entry] = (await store.listAudit({ limit: 1 })).items;
  assert.deepEqual([entry!.action, entry!.target], ["certificate.revoke", "0a"]);
  changes.length = 0;
  clock.time += 5;
  assert.deepEqual(await store.revokeCertificate(ADMIN, "0a", "another reason"), revoked);
  assert.deepEqual(changes, []);
  await assert.rejects(store.revokeCertificate(ADMIN, "ff", ""), { code: "not_found" });
});

test("certificates: what a key got is found again until it is revoked, and vouches for no other then", async (t) => {
  const { store, clock } = await temporaryStore(t);
  const { connector } = await enrolOne(store, clock);
  await store.setConnectorCertificate(connector.id, certificate("0a", "k"));
  assert.equal(await store.certificateForKey(connector.id, "k"), "PEM of 0a");
  assert.equal(await store.certificateForKey(connector.id, "l"), null);
  assert.equal(await store.certificateForKey("x", "k"), null);
  await store.setConnectorCertificate(connector.id, certificate("0b"), "0a");
  await store.revokeCertificate(ADMIN, "0a", "");
  await assert.rejects(store.certificateForKey(connector.id, "k"), { code: "certificate_revoked" });
  await assert.rejects(store.setConnectorCertificate(connector.id, certificate("0c"), "0a"), {
    code: "certificate_revoked",
  });
  assert.equal(await store.findCertificate("0c"), null);
});

test("certificates: a later one that was used supersedes one, a later one that never was does not", async (t) => {
  const { store, clock } = await temporaryStore(t);
  const { connector } = await enrolOne(store, clock);
  await store.setConnectorCertificate(connector.id, certificate("0a"));
  await store.noteConnectorSeen(connector.id, { at: clock.time, certificateSerial: "0a" });
  clock.time += 5;
  await store.setConnectorCertificate(connector.id, certificate("0b"));
  assert.equal(await store.isSuperseded("0a"), false);
  await store.noteConnectorSeen(connector.id, { at: clock.time, certificateSerial: "0b" });
  await store.noteConnectorSeen(connector.id, { at: clock.time + 7, certificateSerial: "0b" });
  assert.equal((await store.findCertificate("0b"))!.usedAt, clock.time);
  assert.equal(await store.isSuperseded("0a"), true);
  assert.equal(await store.isSuperseded("0b"), false);
  assert.equal(await store.isSuperseded("ff"), false);
});
