import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { DialError } from "../../src/connector/errors.ts";
import { brokerCli } from "../support/broker_cli.ts";
import { connectorCli } from "../support/connector_cli.ts";
import { foreignConnector } from "../support/foreign_connector.ts";
import { TunnelStage } from "../support/tunnel_stage.ts";

/** Shuts the connector out while a request is in flight; gives what the connector logged about it. */
async function shutOut(
  t: TestContext,
  stage: TunnelStage,
  act: () => Promise<unknown>,
): Promise<Record<string, unknown>> {
  let reached: () => void = () => {};
  const inFlight = new Promise<void>((resolve) => reached = resolve);
  const { origin } = await stage.backend(() => reached());
  await stage.publish("/hangs", origin);
  // Not repeated on another connector, as a GET would be.
  const request = fetch(stage.url("/hangs"), { method: "POST", body: "x" }).then(({ status }) => status);
  await inFlight;
  const begun = performance.now();
  await act();
  assert.equal(await request, 502);
  t.diagnostic(`what was in flight ended ${Math.round(performance.now() - begun)} ms after the call began`);
  return await stage.logged("shut out by the broker");
}

async function dialCode(stage: TunnelStage): Promise<unknown> {
  const error = await foreignConnector(stage.stateDir).then(
    (connector) => connector[Symbol.dispose](),
    (reason) => reason,
  );
  assert.ok(error instanceof DialError, String(error));
  assert.deepEqual([error.code, error.details.status], ["tunnel_refused", 403]);
  return error.details.reason;
}

async function shutOutStatus(stage: TunnelStage): Promise<Record<string, unknown>> {
  const { stdout, stderr } = await connectorCli(["status", "--state-dir", stage.stateDir, "--json"]);
  assert.equal(stderr, "");
  return JSON.parse(stdout).tunnels[0];
}

test("disable: tunnels end with what is on them, new ones are refused, and the connector waits long and says why", async (t) => {
  await using stage = await TunnelStage.start();
  const disable = () =>
    stage.broker.admin.request("PATCH", `connectors/${stage.connectorId}`, { enabled: false });
  const line = await shutOut(t, stage, disable);
  assert.equal(line.code, "connector_disabled", JSON.stringify(line));
  assert.ok(Number(line.nextTryInS) >= 200, "it tries rarely");
  assert.equal(await dialCode(stage), "connector_disabled");
  const { state, shutOut: shown } = await shutOutStatus(stage);
  assert.equal(state, "waiting");
  assert.match(JSON.stringify(shown), /connector_disabled.*enabled/);
  assert.equal((await stage.facts()).connected, false);

  await stage.broker.admin.request("PATCH", `connectors/${stage.connectorId}`, { enabled: true });
  await stage.connector.stop();
  await stage.startConnector();
  assert.equal((await stage.facts()).connected, true);
});

test("delete: tunnels end, and the certificate is worth nothing", async (t) => {
  await using stage = await TunnelStage.start();
  const line = await shutOut(
    t,
    stage,
    () => stage.broker.admin.request("DELETE", `connectors/${stage.connectorId}`),
  );
  assert.equal(line.code, "connector_unknown", JSON.stringify(line));
  assert.match(String(line.todo), /register --force/);
  assert.equal(await dialCode(stage), "connector_unknown");
});

test("revoke-certificate: one certificate alone, by the command line; a token of the connector brings it back", async (t) => {
  await using stage = await TunnelStage.start();
  const access = [
    ...["--admin-url", stage.broker.adminUrl],
    ...["--admin-token-file", stage.broker.adminTokenFile],
    "--json",
  ];
  const listed = async (...more: string[]) =>
    JSON.parse((await brokerCli(["connector", "certificates", ...more, ...access])).stdout) as {
      serial: string;
      revocationReason: string | null;
      usedAt: string | null;
    }[];
  const [certificate, ...others] = await listed("--connector", stage.connectorId);
  assert.equal(others.length, 0);
  assert.notEqual(certificate!.usedAt, null);
  assert.deepEqual(await listed("--revoked"), []);

  const { serial } = certificate!;
  const revoke = ["connector", "revoke-certificate", serial, "--reason", "key was copied", ...access];
  const line = await shutOut(t, stage, async () => assert.equal((await brokerCli(revoke)).code, 0));
  assert.equal(line.code, "certificate_revoked", JSON.stringify(line));
  assert.equal(await dialCode(stage), "certificate_revoked");
  assert.deepEqual((await listed("--revoked")).map((one) => [one.serial, one.revocationReason]), [
    [serial, "key was copied"],
  ]);

  await stage.connector.stop();
  const token = await brokerCli(["token", "create", "--connector", stage.connectorId, ...access]);
  assert.equal(token.code, 0, token.stderr);
  const args = ["register", "--force", "--token-file", "-", "--state-dir", stage.stateDir, "--json"];
  const again = await connectorCli(args, { input: token.json.token });
  assert.equal(again.code, 0, again.stderr);
  assert.equal(JSON.parse(again.stdout).connectorId, stage.connectorId);
  await stage.startConnector();
  assert.equal((await stage.facts()).connected, true);
});

test("shared identity: a second instance shows in API and log; where it is refused it is told, and the first stays", async () => {
  let warn: () => void = () => {};
  const warned = new Promise<void>((resolve) => warn = resolve);
  const onBrokerLog = (line: string) => line.includes('"identity_shared"') && warn();
  await using stage = await TunnelStage.start({ onBrokerLog });
  const instances = async () => (await stage.facts() as { instances?: number }).instances;
  assert.equal(await instances(), 1);
  {
    using _second = await foreignConnector(stage.stateDir);
    assert.equal(await instances(), 2);
    await warned;
  }
  await stage.until("the second has gone", ({ tunnels }) => tunnels.length === 1);
  await stage.broker.admin.request("PATCH", "settings", { sharedIdentity: "refuse" });
  await assert.rejects(foreignConnector(stage.stateDir), { code: "identity_shared" });
  const { tunnels } = await stage.until("the refused one has gone", ({ tunnels }) => tunnels.length === 1);
  assert.notEqual(tunnels[0]!.instanceId, "foreign");
});

test("shared identity: refused while two are connected, the later one is ended and told why, and the first serves on", async () => {
  await using stage = await TunnelStage.start();
  const told = Promise.withResolvers<unknown>();
  using second = await foreignConnector(stage.stateDir, (type, { code }) => {
    if (type === "revoked") told.resolve(code);
  });
  await stage.until("both are connected", ({ tunnels }) => tunnels.length === 2);
  await stage.broker.admin.request("PATCH", "settings", { sharedIdentity: "refuse" });
  await second.closed;
  assert.equal(await told.promise, "identity_shared");
  const { tunnels } = await stage.until("the second has gone", ({ tunnels }) => tunnels.length === 1);
  assert.notEqual(tunnels[0]!.instanceId, "foreign");
});

test("backends' health: what a process has said of it goes with the process, though another one serves on", async () => {
  await using stage = await TunnelStage.start();
  const { origin } = await stage.backend((_req, res) => void res.end("ok"));
  const appId = await stage.publish("/", origin);
  const unwell = async () => (await stage.facts() as { appsOutOfReach?: string[] }).appsOutOfReach ?? [];
  {
    using second = await foreignConnector(stage.stateDir);
    await stage.until("it is noted", (facts) => {
      // Said again and again, as connectors do: what a broker has not heard of yet, it does not note.
      second.control.notice("backend.health", { appId, up: false });
      return ((facts as { appsOutOfReach?: string[] }).appsOutOfReach ?? []).includes(appId);
    });
  }
  await stage.until("the second has gone", ({ tunnels }) => tunnels.length === 1);
  assert.deepEqual(await unwell(), []);
});
