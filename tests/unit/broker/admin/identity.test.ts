import assert from "node:assert/strict";
import { test } from "node:test";
import { adminFixture, assertProblem } from "../../../support/admin_fixture.ts";
import { enrolOne } from "../../../support/store_fixture.ts";

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
