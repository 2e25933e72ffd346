import assert from "node:assert/strict";
import { sign } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test, type TestContext } from "node:test";
import { type BrokerProcess, startBroker, startConnector } from "../../src/demo/processes.ts";
import { callBroker } from "../../src/connector/identity/broker_call.ts";
import { RegistrationError } from "../../src/connector/identity/errors.ts";
import { type Identity, loadIdentity } from "../../src/connector/identity/identity.ts";
import { reenrol } from "../../src/connector/identity/reenrol.ts";
import { publicKeySha256, readCertificates, readPrivateKey } from "../../src/platform/certificate.ts";
import { createCertificateRequest, generatePrivateKey } from "../../src/platform/x509.ts";
import { parseEnrolmentResponse } from "../../src/protocol/enrolment.ts";
import {
  parseReenrolmentNonce,
  REENROL_NONCE_PATH,
  REENROL_PATH,
  reenrolmentProof,
} from "../../src/protocol/reenrolment.ts";
import { Child } from "../../src/demo/child.ts";
import { sourceCommand } from "../../src/demo/runtime.ts";
import { connectorCli } from "../support/connector_cli.ts";
import { connectorRuntime } from "../support/connector_runtime.ts";
import { type ExpiredConnector, expiredConnector, stateFolder } from "../support/expired_connector.ts";
import { until } from "../support/until.ts";

let folder: string;
let broker: BrokerProcess;
const connectors: Record<
  "back" | "again" | "off" | "disabled" | "deleted" | "revoked" | "late",
  ExpiredConnector
> = {} as never;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-comeback-"));
  const dataDir = join(folder, "broker");
  // The first one makes the authority: it has to be the oldest.
  for (
    const [name, daysAgo] of [
      ["late", 91],
      ["back", 10],
      ["again", 10],
      ["off", 10],
      ["disabled", 10],
      ["deleted", 10],
      ["revoked", 10],
    ] as const
  ) connectors[name] = await expiredConnector(dataDir, daysAgo, name);
  broker = await startBroker({ dataDir, args: ["--drain-ms", "0"] });
});

after(async () => {
  await broker.stop();
  await rm(folder, { recursive: true, force: true });
});

const save = (name: keyof typeof connectors) =>
  connectors[name].save(stateFolder(folder, name), broker.listeners.public.port);

async function ask(identity: Identity, key?: string): Promise<string> {
  const csr = await createCertificateRequest(key ?? await generatePrivateKey("p256"), "x");
  const signal = new AbortController().signal;
  return await reenrol(identity, {
    csr,
    machineName: "m",
    os: "linux",
    version: "1",
    stepMs: 10_000,
    signal,
  });
}

/** What the API says of a connector, as soon as that is connected. */
function connectedFacts(connectorId: string): Promise<{ memberOf: { id: string } }> {
  return until("it is connected", async () => {
    const facts = await broker.admin.request("GET", `connectors/${connectorId}`) as {
      connected: boolean;
      memberOf: { id: string };
    };
    return facts.connected && facts;
  });
}

const refused = (code: string) => (error: unknown) => {
  assert.ok(error instanceof RegistrationError, String(error));
  assert.equal(error.code, code, error.message);
  return true;
};

test("run: a connector whose certificate expired while it was off comes back by itself, with a new key", async () => {
  const { connectorId, serial, key } = connectors.back;
  await save("back");
  const stateDir = stateFolder(folder, "back");
  const connector = await startConnector({ stateDir, runtime: connectorRuntime() });
  await connectedFacts(connectorId);
  await connector.stop();
  const identity = await loadIdentity(stateDir);
  assert.ok(identity.notAfter > Date.now());
  assert.notEqual(identity.key.reveal(), key);
  assert.equal(identity.connectorId, connectorId);
  // The old key is worth nothing any more: the new certificate has been used.
  const old = { ...identity, certificate: "", key: identity.key };
  const before = await connectors.back.save(stateFolder(folder, "copy"), broker.listeners.public.port);
  assert.notEqual(serial, readCertificates(identity.certificate)[0].serialNumber.toLowerCase());
  await assert.rejects(
    ask({ ...old, certificate: before.certificate, key: before.key }),
    refused("certificate_superseded"),
  );
});

test("reenrolment: a lost answer is had again with the same key, also by two at once", async () => {
  const identity = await save("again");
  const key = await generatePrivateKey("p256");
  const [first, second] = await Promise.all([ask(identity, key), ask(identity, key)]);
  assert.equal(first, second);
  assert.equal(await ask(identity, key), first);
  const [leaf] = readCertificates(first!);
  assert.equal(publicKeySha256(leaf.publicKey), publicKeySha256(readPrivateKey(key)));
  assert.equal(leaf.subjectAltName, `URI:sallyport:connector:${identity.connectorId}`);
});

test("reenrolment: a nonce is good once, and only what is signed with the old key counts", async () => {
  const { address, enrolName, ca, certificate, key } = await save("again");
  const target = { address, enrolName, trust: { ca }, stepMs: 10_000 };
  const serial = readCertificates(certificate)[0].serialNumber.toLowerCase();
  const csr = await createCertificateRequest(await generatePrivateKey("p256"), "x");
  const nonce = async () => (await callBroker(target, REENROL_NONCE_PATH, "", parseReenrolmentNonce)).nonce;
  const post = (
    more: Record<string, string>,
    signed: Parameters<typeof reenrolmentProof>[0],
    pem = key.reveal(),
  ) => {
    const signature = sign("sha256", reenrolmentProof(signed), readPrivateKey(pem)).toString("base64");
    const about = { serial, csr, machineName: "m", os: "linux", version: "1" };
    return callBroker(
      target,
      REENROL_PATH,
      JSON.stringify({ ...about, signature, ...more }),
      parseEnrolmentResponse,
    );
  };
  const good = await nonce();
  const other = await createCertificateRequest(await generatePrivateKey("p256"), "x");
  const thief = await generatePrivateKey("p256");
  await assert.rejects(post({ nonce: good }, { nonce: good, serial, csr }, thief), refused("proof_invalid"));
  await assert.rejects(
    post({ nonce: good, csr: other }, { nonce: good, serial, csr }),
    refused("proof_invalid"),
  );
  const made = Buffer.alloc(38).toString("base64url");
  await assert.rejects(post({ nonce: made }, { nonce: made, serial, csr }), refused("nonce_invalid"));
  const strange = { nonce: good, serial: "0123456789abcdef" };
  await assert.rejects(post(strange, { ...strange, csr }), refused("certificate_unknown"));
  await post({ nonce: good }, { nonce: good, serial, csr });
  await assert.rejects(post({ nonce: good }, { nonce: good, serial, csr }), refused("nonce_invalid"));
});

test("reenrolment: refused, each with its code, where deleted, disabled, revoked, switched off or too late", async () => {
  await broker.admin.request("DELETE", `connectors/${connectors.deleted.connectorId}`);
  await broker.admin.request("PATCH", `connectors/${connectors.disabled.connectorId}`, { enabled: false });
  await broker.admin.request("DELETE", `certificates/${connectors.revoked.serial}?reason=test`);
  for (
    const [name, code] of [
      ["deleted", "connector_unknown"],
      ["disabled", "connector_disabled"],
      ["revoked", "certificate_revoked"],
      ["late", "reenrolment_late"],
    ] as const
  ) await assert.rejects(ask(await save(name)), refused(code));
  const identity = await save("off");
  await broker.admin.request("PATCH", "settings", { reenrolment: false });
  await assert.rejects(ask(identity), refused("reenrolment_off"));
  await broker.admin.request("PATCH", "settings", { reenrolment: true, reenrolmentGraceDays: 9 });
  await assert.rejects(ask(identity), refused("reenrolment_late"));
  await broker.admin.request("PATCH", "settings", { reenrolmentGraceDays: 90 });
  await ask(identity);
});

async function shutOutRun(
  t: TestContext,
  stateDir: string,
): Promise<{ line: Record<string, unknown>; child: Child }> {
  const { command, args } = sourceCommand(connectorRuntime(), "connector/main.ts");
  let seen: (line: string) => void = () => {};
  const said = new Promise<string>((resolve) => seen = resolve);
  const child = await Child.start({
    name: "connector",
    command,
    args: [...args, "run", "--state-dir", stateDir, "--log-format", "json"],
    onLog: (line) => line.includes("shut out by the broker") && seen(line),
  });
  t.after(() => child.stop());
  const line = await Promise.race([said, child.exited.then(() => child.lastLog.join("\n"))]);
  return { line: JSON.parse(line), child };
}

test("run: past the grace it stays up, says what to do in log and status, and a token of it brings back id and group", async (t) => {
  const { connectorId } = connectors.late;
  await save("late");
  const stateDir = stateFolder(folder, "late");
  const { line, child } = await shutOutRun(t, stateDir);
  assert.equal(line.code, "reenrolment_late", JSON.stringify(line));
  assert.match(String(line.todo), /register --force/);
  const status = await connectorCli(["status", "--state-dir", stateDir, "--json"]);
  assert.equal(JSON.parse(status.stdout).tunnels[0].shutOut.code, "reenrolment_late");
  await child.stop();
  const group = await broker.admin.request("POST", "groups", { name: "Branch" }) as { id: string };
  await broker.admin.request("PATCH", `connectors/${connectorId}`, { groupId: group.id });

  const token = await broker.admin.enrolmentToken({ connectorId });
  const args = ["register", "--force", "--token-file", "-", "--state-dir", stateDir, "--json"];
  const outcome = await connectorCli(args, { input: token });
  assert.equal(outcome.code, 0, outcome.stderr);
  assert.equal(JSON.parse(outcome.stdout).connectorId, connectorId);
  const connector = await startConnector({ stateDir, runtime: connectorRuntime() });
  assert.equal((await connectedFacts(connectorId)).memberOf.id, group.id);
  await connector.stop();
  assert.equal(JSON.parse(await readFile(join(stateDir, "broker.json"), "utf8")).connectorId, connectorId);
});
