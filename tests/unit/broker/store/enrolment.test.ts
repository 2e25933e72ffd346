import assert from "node:assert/strict";
import { test } from "node:test";
import { TokenRefusedError } from "../../../../src/broker/store/errors.ts";
import { ADMIN, enrolOne, newConnector, temporaryStore } from "../../../support/store_fixture.ts";

const settings = {
  description: "for the branch",
  groupId: "default",
  expiresAt: 2_000,
  maxUses: 1,
  secretSha256: "s",
};

test("enrolment tokens: create, get, list, revoke; the secret's hash appears nowhere", async (t) => {
  const { store, clock } = await temporaryStore(t);
  const secretSha256 = "5ec4e7".repeat(10);
  const made = await store.createEnrolmentToken(ADMIN, { ...settings, secretSha256 });
  const { description, groupId, expiresAt, maxUses } = settings;
  const record = { id: made.id, version: 1, createdAt: clock.time, updatedAt: clock.time };
  const unbound = { machineName: null, networks: [], connectorId: null };
  assert.deepEqual(made, {
    ...record,
    description,
    groupId,
    expiresAt,
    maxUses,
    uses: 0,
    revokedAt: null,
    ...unbound,
  });
  assert.deepEqual(await store.getEnrolmentToken(made.id), made);
  assert.deepEqual((await store.listEnrolmentTokens({ limit: 1 })).items, [made]);
  clock.time += 4;
  const revoked = await store.revokeEnrolmentToken(ADMIN, made.id);
  assert.deepEqual(revoked, { ...made, version: 2, updatedAt: clock.time, revokedAt: clock.time });
  clock.time += 4;
  assert.deepEqual(await store.revokeEnrolmentToken(ADMIN, made.id), revoked);
  const audit = (await store.listAudit({ limit: 10 })).items;
  assert.deepEqual(audit.map((entry) => entry.action), ["token.revoke", "token.create"]);
  assert.ok(!JSON.stringify(audit).includes(secretSha256));
  await assert.rejects(store.getEnrolmentToken("x"), { code: "not_found" });
  await assert.rejects(store.revokeEnrolmentToken(ADMIN, "x"), { code: "not_found" });
  await assert.rejects(store.createEnrolmentToken(ADMIN, { ...settings, groupId: "x" }), {
    code: "not_found",
  });
});

test("enrolment tokens: what is patched changes, is audited and holds at the next use; the rest stays", async (t) => {
  const { store, clock } = await temporaryStore(t);
  const made = await store.createEnrolmentToken(ADMIN, settings);
  await assert.rejects(store.enrolConnector("s", newConnector("a"), 2_000), { code: "token_expired" });
  clock.time += 4;
  const patch = { description: "later", expiresAt: 3_000, maxUses: 2, networks: ["198.51.100.0/24"] };
  const changed = await store.updateEnrolmentToken(ADMIN, made.id, patch, 1);
  assert.deepEqual(changed, { ...made, ...patch, version: 2, updatedAt: clock.time });
  assert.deepEqual(await store.getEnrolmentToken(made.id), changed);
  const [entry] = (await store.listAudit({ limit: 1 })).items;
  assert.deepEqual([entry!.action, entry!.target, entry!.details], ["token.update", made.id, patch]);

  const update = (more: object, version?: number) =>
    store.updateEnrolmentToken(ADMIN, made.id, more, version);
  await assert.rejects(update({ description: "x" }, 1), { code: "version_conflict" });
  assert.deepEqual(await update({ ...patch }), changed, "nothing that differs is no change");
  assert.deepEqual(await update({}), changed);
  assert.equal((await store.listAudit({ limit: 1 })).items[0]!.id, entry!.id);

  await store.enrolConnector("s", newConnector("a"), 2_000);
  await store.enrolConnector("s", { ...newConnector("b"), publicKeySha256: "key b" }, 2_000);
  await assert.rejects(update({ maxUses: 1 }), { code: "value_invalid" });
  assert.equal((await update({ maxUses: 2, machineName: "host-c" })).uses, 2);
  const { updatedAt } = await update({ maxUses: 3 });
  assert.equal(updatedAt, clock.time);
  const late = { ...newConnector("c"), publicKeySha256: "key c" };
  await assert.rejects(store.enrolConnector("s", { ...late, machineName: "host-d" }, 2_000), {
    code: "token_wrong_machine",
  });
  assert.equal((await update({ machineName: null, networks: [] })).machineName, null);
  await store.enrolConnector("s", { ...late, externalIp: "203.0.113.7" }, 2_000);
});

test("enrolment tokens: a revoked one cannot be changed, nor one that does not exist", async (t) => {
  const { store } = await temporaryStore(t);
  const { id } = await store.createEnrolmentToken(ADMIN, settings);
  const revoked = await store.revokeEnrolmentToken(ADMIN, id);
  await assert.rejects(store.updateEnrolmentToken(ADMIN, id, { maxUses: 5 }), { code: "token_revoked" });
  await assert.rejects(store.updateEnrolmentToken(ADMIN, id, { maxUses: 5 }, 1), {
    code: "version_conflict",
  });
  assert.deepEqual(await store.getEnrolmentToken(id), revoked);
  await assert.rejects(store.updateEnrolmentToken(ADMIN, "x", {}), { code: "not_found" });
});

test("enrolment: a token makes a connector of its group and is used once", async (t) => {
  const { store, clock, changes } = await temporaryStore(t);
  const { id: groupId } = await store.createGroup(ADMIN, "Branch");
  const token = await store.createEnrolmentToken(ADMIN, { ...settings, groupId });
  const connector = await store.enrolConnector("s", newConnector("a"), 1_999);
  assert.deepEqual(connector, {
    id: connector.id,
    version: 1,
    createdAt: 1_999,
    updatedAt: 1_999,
    groupId,
    ...newConnector("a"),
    enabled: true,
    lastSeenAt: null,
    certificateSerial: "",
    certificateNotAfter: 0,
  });
  assert.deepEqual(await store.getConnector(connector.id), connector);
  assert.equal((await store.getEnrolmentToken(token.id)).uses, 1);
  assert.deepEqual(changes.at(-1), { kind: "connector", id: connector.id, what: "created" });
  const [entry] = (await store.listAudit({ limit: 1 })).items;
  assert.deepEqual(entry!.actor, { kind: "connector", id: connector.id, address: "198.51.100.7" });
  assert.equal(entry!.action, "connector.enrol");
  assert.equal(entry!.at, clock.time);
  await assert.rejects(store.enrolConnector("s", newConnector("b"), 1_999), { code: "token_used" });
});

test("enrolment: unknown, expired, revoked and used tokens are refused, each with its code, and leave nothing", async (t) => {
  const { store } = await temporaryStore(t);
  await store.createEnrolmentToken(ADMIN, settings);
  const revoked = await store.createEnrolmentToken(ADMIN, { ...settings, secretSha256: "r" });
  await store.revokeEnrolmentToken(ADMIN, revoked.id);
  const refused = async (secret: string, now: number, code: string) => {
    await assert.rejects(store.enrolConnector(secret, newConnector("b"), now), (error) => {
      assert.ok(error instanceof TokenRefusedError);
      assert.equal(error.code, code);
      return true;
    });
  };
  await refused("x", 1, "token_unknown");
  await refused("s", 2_000, "token_expired");
  await refused("r", 1, "token_revoked");
  assert.equal((await store.listConnectors({ limit: 1 })).items.length, 0);
  await store.enrolConnector("s", newConnector("a"), 1);
  await refused("s", 1, "token_used");
  assert.equal((await store.listConnectors({ limit: 5 })).items.length, 1);
});

test("enrolment: the same key again gets its connector and takes no use, but only from a token still valid", async (t) => {
  const { store } = await temporaryStore(t);
  const token = await store.createEnrolmentToken(ADMIN, settings);
  await store.createEnrolmentToken(ADMIN, { ...settings, secretSha256: "other" });
  const first = await store.enrolConnector("s", newConnector("a"), 1);
  assert.deepEqual(await store.enrolConnector("s", { ...newConnector("a"), os: "other" }, 2), first);
  assert.equal((await store.getEnrolmentToken(token.id)).uses, 1);
  await store.enrolConnector("other", newConnector("b"), 1);
  await assert.rejects(store.enrolConnector("other", newConnector("a"), 1), { code: "token_used" });
  await assert.rejects(store.enrolConnector("s", newConnector("a"), 2_000), { code: "token_expired" });
  await store.revokeEnrolmentToken(ADMIN, token.id);
  await assert.rejects(store.enrolConnector("s", newConnector("a"), 2), { code: "token_revoked" });
});

test("enrolment: a known key with another live token is the same connector", async (t) => {
  const { store, clock } = await temporaryStore(t);
  const { connector } = await enrolOne(store, clock);
  const other = await store.createEnrolmentToken(ADMIN, settings);
  assert.deepEqual(await store.enrolConnector("s", newConnector("a"), 1), connector);
  assert.equal((await store.getEnrolmentToken(other.id)).uses, 0);
});

test("enrolment: of many at once exactly as many get in as the token allows", async (t) => {
  const { store } = await temporaryStore(t);
  await store.createEnrolmentToken(ADMIN, { ...settings, maxUses: 5 });
  const keys = Array.from({ length: 20 }, (_, i) => ({ ...newConnector("a"), publicKeySha256: `key ${i}` }));
  const results = await Promise.allSettled(keys.map((connector) => store.enrolConnector("s", connector, 1)));
  assert.equal(results.filter((result) => result.status === "fulfilled").length, 5);
  for (const result of results) {
    if (result.status === "rejected") assert.equal(result.reason.code, "token_used");
  }
  assert.equal((await store.listConnectors({ limit: 100 })).items.length, 5);
});

test("enrolment: a token for one machine and network is refused elsewhere and takes no use there", async (t) => {
  const { store } = await temporaryStore(t);
  const bounds = { machineName: "Host-A", networks: ["198.51.100.0/24", "2001:db8::/32"] };
  const token = await store.createEnrolmentToken(ADMIN, { ...settings, maxUses: 3, ...bounds });
  assert.deepEqual([token.machineName, token.networks], [bounds.machineName, bounds.networks]);
  const enrol = (more: object) => store.enrolConnector("s", { ...newConnector("a"), ...more }, 1);
  await assert.rejects(enrol({ externalIp: "203.0.113.7" }), { code: "token_wrong_network" });
  await assert.rejects(enrol({ externalIp: "" }), { code: "token_wrong_network" });
  await assert.rejects(enrol({ machineName: "host-b" }), { code: "token_wrong_machine" });
  assert.equal((await store.getEnrolmentToken(token.id)).uses, 0);
  await enrol({ externalIp: "::ffff:198.51.100.9" });
  assert.equal((await store.getEnrolmentToken(token.id)).uses, 1);
});

test("enrolment: a token bound to a connector brings it back with its id and group, and ends what it had", async (t) => {
  const { store, clock, changes } = await temporaryStore(t);
  const { id: groupId } = await store.createGroup(ADMIN, "Branch");
  const { connector } = await enrolOne(store, clock, "a", groupId);
  const certificate = { serial: "0a", notBefore: 0, notAfter: 9_000, publicKeySha256: "k", pem: "ONE" };
  await store.setConnectorCertificate(connector.id, certificate);
  const token = await store.createEnrolmentToken(ADMIN, { ...settings, connectorId: connector.id });
  assert.deepEqual([token.connectorId, token.groupId], [connector.id, groupId]);
  const back = await store.enrolConnector("s", newConnector("b"), 1);
  assert.deepEqual([back.id, back.groupId], [connector.id, groupId]);
  assert.equal(back.publicKeySha256, newConnector("b").publicKeySha256);
  assert.notEqual((await store.findCertificate("0a"))!.revokedAt, null);
  const revoked = { kind: "certificate", serial: "0a", connectorId: connector.id, what: "revoked" };
  assert.deepEqual(changes.at(-1), revoked);
  assert.deepEqual(await store.enrolConnector("s", newConnector("b"), 2), back, "a lost answer");
  await assert.rejects(store.enrolConnector("s", newConnector("c"), 2), { code: "token_used" });

  await store.createEnrolmentToken(ADMIN, { ...settings, secretSha256: "late", connectorId: connector.id });
  await store.deleteConnector(ADMIN, connector.id);
  await assert.rejects(store.enrolConnector("late", newConnector("d"), 1), { code: "connector_unknown" });
  await assert.rejects(store.createEnrolmentToken(ADMIN, { ...settings, connectorId: "x" }), {
    code: "connector_unknown",
  });
});

test("enrolment: refused for a disabled connector, or with another one's key, a bound token changes nothing", async (t) => {
  const { store, clock } = await temporaryStore(t);
  const { connector, secretSha256 } = await enrolOne(store, clock);
  const other = (await enrolOne(store, clock, "b")).connector;
  await store.setConnectorCertificate(connector.id, {
    serial: "0a",
    notBefore: 1,
    notAfter: 1_900_000_000_000,
    publicKeySha256: connector.publicKeySha256,
    pem: "PEM",
  });
  const bound = await store.createEnrolmentToken(ADMIN, { ...settings, connectorId: connector.id });
  const untouched = async (enrolling: Promise<unknown>, code: string) => {
    const before = await store.listAudit({ limit: 1 });
    await assert.rejects(enrolling, (error) => error instanceof TokenRefusedError && error.code === code);
    assert.equal((await store.getEnrolmentToken(bound.id)).uses, 0);
    assert.equal((await store.findCertificate("0a"))?.revokedAt, null);
    assert.deepEqual(await store.listAudit({ limit: 1 }), before);
  };
  await untouched(store.enrolConnector("s", newConnector("b"), 1), "key_taken");
  await store.updateConnector(ADMIN, connector.id, { enabled: false });
  await untouched(store.enrolConnector("s", newConnector("c"), 1), "connector_disabled");
  await untouched(store.enrolConnector(secretSha256, newConnector("a"), 1), "connector_disabled");
  await store.updateConnector(ADMIN, connector.id, { enabled: true });
  assert.equal((await store.enrolConnector("s", newConnector("c"), 1)).id, connector.id);
  assert.equal((await store.findCertificate("0a"))?.revocationReason, "the connector registered again");
  assert.equal((await store.getConnector(other.id)).publicKeySha256, other.publicKeySha256);
});
