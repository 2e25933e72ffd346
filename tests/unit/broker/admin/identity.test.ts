import assert from "node:assert/strict";
import { test } from "node:test";
import { createEnrolmentSecret } from "../../../../src/broker/enrol/secret.ts";
import { adminFixture, assertProblem } from "../../../support/admin_fixture.ts";
import { ADMIN, enrolOne, newConnector } from "../../../support/store_fixture.ts";

test("enrolment tokens: limited to a machine and networks, or bound to a connector; what is no network is refused", async (t) => {
  const { call, store, clock } = await adminFixture(t);
  const { connector } = await enrolOne(store, clock);
  const made = await call("POST", "enrolment-tokens", {
    machineName: " dmz-1 ",
    networks: ["10.0.0.0/8", "fd00::/8"],
  });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const { machineName, networks, connectorId } = made.body;
  assert.deepEqual([machineName, networks, connectorId], ["dmz-1", ["10.0.0.0/8", "fd00::/8"], null]);
  const bound = await call("POST", "enrolment-tokens", { connectorId: connector.id });
  assert.equal(bound.body.connectorId, connector.id);
  const { items } = (await call("GET", "enrolment-tokens")).body;
  assert.ok(items.some((item: { networks: string[] }) => item.networks[0] === "10.0.0.0/8"));
  const twofold = { connectorId: connector.id, groupId: connector.groupId };
  for (
    const wrong of [{ networks: ["10.0.0.0"] }, { networks: ["example.com/8"] }, { machineName: "" }, twofold]
  ) {
    assertProblem(await call("POST", "enrolment-tokens", wrong), 400, "invalid_request");
  }
  assertProblem(await call("POST", "enrolment-tokens", { connectorId: "gone" }), 404, "connector_unknown");
});

test("enrolment tokens: changed under If-Match, never in text, group or connector, and not once revoked", async (t) => {
  const { call, clock, store } = await adminFixture(t);
  const made = await call("POST", "enrolment-tokens", { maxUses: 2, machineName: "dmz-1" });
  const path = `enrolment-tokens/${made.body.id}`;
  const { token: _text, ...shown } = made.body;
  clock.time += 1_000;
  const ifMatch = { "If-Match": made.headers.get("etag")! };
  const patch = { description: "later", maxUses: 3, networks: ["10.0.0.0/8"], machineName: null };
  const changed = await call("PATCH", path, { ...patch, ttlSeconds: 3_600 }, ifMatch);
  assert.equal(changed.status, 200, JSON.stringify(changed.body));
  assert.deepEqual(changed.body, {
    ...shown,
    ...patch,
    expiresAt: new Date(clock.time + 3_600_000).toISOString(),
    updatedAt: new Date(clock.time).toISOString(),
    etag: changed.headers.get("etag"),
  });
  assert.notEqual(changed.body.etag, shown.etag);
  assert.deepEqual((await call("GET", path)).body, changed.body);
  assertProblem(await call("PATCH", path, { maxUses: 4 }, ifMatch), 412, "version_conflict");
  const faults = [{ maxUses: 0 }, { ttlSeconds: 59 }, { networks: ["x"] }, { machineName: "" }];
  const others = [{ groupId: "default" }, { connectorId: null }, { token: "x" }, { uses: 0 }];
  for (const wrong of [...faults, ...others]) {
    assertProblem(await call("PATCH", path, wrong), 400, "invalid_request");
  }
  const { sha256 } = createEnrolmentSecret();
  const used = await store.createEnrolmentToken(ADMIN, {
    description: "",
    groupId: "default",
    expiresAt: clock.time + 1_000,
    maxUses: 2,
    secretSha256: sha256,
  });
  await store.enrolConnector(sha256, newConnector("a"), clock.time);
  await store.enrolConnector(sha256, { ...newConnector("b"), publicKeySha256: "b" }, clock.time);
  assertProblem(
    await call("PATCH", `enrolment-tokens/${used.id}`, { maxUses: 1 }),
    400,
    "value_invalid",
  );
  const more = await call("PATCH", `enrolment-tokens/${used.id}`, { maxUses: 5 });
  assert.deepEqual([more.body.status, more.body.uses], ["live", 2]);

  await call("DELETE", path);
  assertProblem(await call("PATCH", path, { maxUses: 4 }), 409, "token_revoked");
  assertProblem(await call("PATCH", "enrolment-tokens/x", { maxUses: 4 }), 404, "not_found");
});

test("certificates: listed, revoked alone with a reason, and still in the list", async (t) => {
  const { call, store, clock } = await adminFixture(t);
  const { connector } = await enrolOne(store, clock);
  const certificate = { notBefore: 0, notAfter: clock.now() + 1_000, publicKeySha256: "k", pem: "PEM" };
  await store.setConnectorCertificate(connector.id, { ...certificate, serial: "0a1b" });
  await store.setConnectorCertificate(connector.id, { ...certificate, serial: "0a2b" });
  const revoked = await call("DELETE", "certificates/0a1b?reason=key%20copied");
  assert.equal(revoked.status, 200, JSON.stringify(revoked.body));
  assert.equal(revoked.body.revocationReason, "key copied");
  assert.equal("pem" in revoked.body, false);
  const serials = async (query: string) =>
    (await call("GET", `certificates?${query}`)).body.items.map(({ serial }: { serial: string }) => serial);
  assert.deepEqual(await serials(""), ["0a1b", "0a2b"]);
  assert.deepEqual(await serials("revoked=true"), ["0a1b"]);
  assert.deepEqual(await serials(`connectorId=${connector.id}&revoked=false`), ["0a2b"]);
  await store.noteConnectorSeen(connector.id, { at: clock.now() });
  const shown = async () => (await call("GET", `connectors/${connector.id}`)).body;
  assert.deepEqual([(await shown()).status, (await shown()).certificate.revokedAt], ["active", null]);
  await call("DELETE", "certificates/0a2b");
  const { status, certificate: newest } = await shown();
  assert.deepEqual([status, newest.revokedAt], ["revoked", new Date(clock.now()).toISOString()]);
  assertProblem(await call("DELETE", "certificates/ff00"), 404, "not_found");
  assertProblem(await call("DELETE", "certificates/xyz"), 400, "invalid_request");
});

test("settings: coming back and shared identities can be switched, within bounds", async (t) => {
  const { call } = await adminFixture(t);
  const { body } = await call("GET", "settings");
  assert.deepEqual([body.reenrolment, body.reenrolmentGraceDays, body.sharedIdentity], [true, 90, "allow"]);
  const patch = { reenrolment: false, reenrolmentGraceDays: 7, sharedIdentity: "refuse" };
  const changed = (await call("PATCH", "settings", patch)).body;
  assert.deepEqual([changed.reenrolment, changed.reenrolmentGraceDays, changed.sharedIdentity], [
    false,
    7,
    "refuse",
  ]);
  assertProblem(await call("PATCH", "settings", { reenrolmentGraceDays: 366 }), 400, "invalid_request");
  assertProblem(await call("PATCH", "settings", { sharedIdentity: "maybe" }), 400, "invalid_request");
});

test("connectors: two processes with one identity show, tunnels of one process do not", async (t) => {
  const { call, store, clock, live } = await adminFixture(t);
  const { connector } = await enrolOne(store, clock);
  const tunnel = (instanceId: string) => ({
    instanceId,
    state: "ready" as const,
    externalIp: "203.0.113.9",
    connectedAt: clock.now(),
    softwareVersion: "1",
    configRevision: 1,
    lanesIdle: 0,
    lanesBusy: 0,
    exchanges: 0,
    bytesIn: 0,
    bytesOut: 0,
    rttMs: null,
  });
  const instances = async () => (await call("GET", `connectors/${connector.id}`)).body.instances;
  assert.equal(await instances(), 0);
  live.connected.set(connector.id, [tunnel("a"), tunnel("a")]);
  assert.equal(await instances(), 1);
  live.connected.set(connector.id, [tunnel("a"), tunnel("b")]);
  assert.equal(await instances(), 2);
});
