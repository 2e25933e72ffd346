/** The certificate authority of real brokers: encrypted, rolled over, backed up and restored, elsewhere. */
import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { type Authority, createIssuing, createRoot } from "../../src/broker/ca/authority.ts";
import { openCa } from "../../src/broker/ca/ca.ts";
import { loadIdentity } from "../../src/connector/identity/identity.ts";
import { startBroker } from "../../src/demo/processes.ts";
import { certificateFingerprint, isIssuedBy, readCertificates } from "../../src/platform/certificate.ts";
import { silentLog } from "../../src/platform/log.ts";
import { brokerCli } from "../support/broker_cli.ts";
import { TunnelStage } from "../support/tunnel_stage.ts";
import { until } from "../support/until.ts";
import { Users } from "../support/user_requests.ts";

const CA_KEY = "a key for tests, long enough";
const SIGNER = fileURLToPath(new URL("../support/programs/sign_tbs.ts", import.meta.url));

async function temporary(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "sallyport-ca-"));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

async function stageWith(t: TestContext, ...args: string[]): Promise<TunnelStage> {
  const stage = await TunnelStage.start({ prepare: () => Promise.resolve(args) });
  t.after(() => stage[Symbol.asyncDispose]());
  const { origin } = await stage.backend((_req, res) => res.end("served"));
  await stage.publish("/", origin);
  return stage;
}

async function served(stage: TunnelStage): Promise<void> {
  using users = new Users();
  assert.equal((await users.get(stage.url())).body, "served");
}

/** Cuts the tunnel, and waits until there is another. */
async function reconnected(stage: TunnelStage): Promise<void> {
  const [before] = (await stage.facts()).tunnels;
  stage.relay.cut();
  await stage.until(
    "it is connected again",
    ({ tunnels }) =>
      tunnels.length > 0 && tunnels.every(({ connectedAt }) => connectedAt !== before?.connectedAt),
  );
}

const ca = async (stage: TunnelStage, ...args: string[]) => {
  const outcome = await brokerCli(["ca", ...args, "--data-dir", stage.dataDir, "--json"]);
  assert.equal(outcome.code, 0, outcome.stderr);
  return outcome.json;
};

/** Finishes a roll-over as soon as the connector has said that it keeps the next root. */
function finishedRollOver(stage: TunnelStage) {
  return until("the roll-over is finished", async () => {
    const { code, stderr, json } = await brokerCli([
      "ca",
      "finish-roll-over",
      "--data-dir",
      stage.dataDir,
      "--json",
    ]);
    if (code === 0) return json;
    assert.equal(json?.error.code, "ca_root_not_learned", stderr);
    return undefined;
  });
}

test("a roll-over is not finished while a connector that is off has not learned the next root, unless forced", async (t) => {
  const stage = await stageWith(t, "--ca-check-interval-ms", "200");
  const { connectorId } = await loadIdentity(stage.stateDir);
  await stage.connector.stop();
  await ca(stage, "roll-over");
  const finish = ["ca", "finish-roll-over", "--data-dir", stage.dataDir];
  const refused = await brokerCli([...finish, "--json"]);
  assert.equal(refused.json?.error.code, "ca_root_not_learned", refused.stderr);
  assert.equal(refused.json.error.details.count, 1);
  assert.equal(refused.json.error.details.connectors[0].id, connectorId);
  assert.match((await brokerCli(finish)).stderr, new RegExp(connectorId));
  assert.equal((await ca(stage, "show")).roots.at(-1).state, "next", "nothing has changed");

  const from = stage.connectorLog.length;
  await stage.startConnector();
  await stage.logged("trust anchors of the broker have changed", from);
  await finishedRollOver(stage);
  await reconnected(stage);
  await served(stage);

  await stage.connector.stop();
  await ca(stage, "roll-over");
  await ca(stage, "finish-roll-over", "--force");
});

test("a root is rolled over under a connector that stays connected: it knows the next one before it is used", async (t) => {
  const stage = await stageWith(t, "--ca-check-interval-ms", "200", "--connector-certificate-ms", "600000");
  const before = (await ca(stage, "show")).roots;
  assert.equal(before.length, 1);

  let from = stage.connectorLog.length;
  await ca(stage, "roll-over");
  await stage.logged("trust anchors of the broker have changed", from);
  assert.equal(readCertificates((await loadIdentity(stage.stateDir)).ca).length, 2);
  await reconnected(stage);
  await served(stage);

  from = stage.connectorLog.length;
  const { roots } = await finishedRollOver(stage);
  const [now] = roots.filter(({ state }: { state: string }) => state === "in use");
  assert.notEqual(now.fingerprint, before[0].fingerprint);
  await reconnected(stage);
  await served(stage);

  // It has its next certificate from the next root soon; then the one before is not needed any more.
  await stage.logged('"certificate renewed"', from);
  const issuing = readCertificates((await loadIdentity(stage.stateDir)).certificate).at(-1)!;
  const inUse = readCertificates((await loadIdentity(stage.stateDir)).ca)[0];
  assert.equal(certificateFingerprint(inUse), now.fingerprint);
  assert.ok(isIssuedBy(issuing, inUse));
  from = stage.connectorLog.length;
  await ca(stage, "drop-root", before[0].fingerprint);
  await stage.logged("trust anchors of the broker have changed", from);
  assert.equal(readCertificates((await loadIdentity(stage.stateDir)).ca).length, 1);
  await reconnected(stage);
  await served(stage);
  await stage.connector.stop();
  await stage.startConnector();
  await served(stage);
});

test("encrypted keys: the broker starts with their key, and without it or with another says so and ends with 2", async (t) => {
  const folder = await temporary(t);
  const dataDir = join(folder, "data");
  const plain = await startBroker({ dataDir });
  await plain.stop();
  const keyFile = join(folder, "ca-key");
  await writeFile(keyFile, `${CA_KEY}\n`, { mode: 0o600 });
  const encrypted = await startBroker({ dataDir, args: ["--ca-key-file", keyFile] });
  assert.equal(encrypted.caFingerprint, plain.caFingerprint, "the same authority");
  await encrypted.stop();
  for (const name of await readdir(join(dataDir, "ca"))) {
    assert.doesNotMatch(await readFile(join(dataDir, "ca", name), "utf8"), /BEGIN PRIVATE KEY/, name);
  }
  const run = [
    "run",
    "--data-dir",
    dataDir,
    "--public-listen",
    "127.0.0.1:0",
    "--admin-listen",
    "127.0.0.1:0",
  ];
  for (
    const [args, env, code] of [
      [[], {}, "ca_key_missing"],
      [[], { SALLYPORT_CA_KEY: "some other key, also long enough" }, "ca_key_wrong"],
      [[], { SALLYPORT_CA_KEY: "short" }, "ca_key_weak"],
      [["--ca-key-file", join(folder, "nothing")], {}, "ca_key_unreadable"],
    ] as const
  ) {
    const outcome = await brokerCli([...run, ...args, "--json"], env as Record<string, string>);
    assert.equal(outcome.code, 2, outcome.stderr);
    assert.equal(outcome.json?.error.code ?? outcome.stderr, code);
  }
  const next = join(folder, "next-key");
  await writeFile(next, "the next key, of sufficient length");
  const again = await startBroker({ dataDir, env: { SALLYPORT_CA_KEY: CA_KEY } });
  const running = await brokerCli(["ca", "rekey", next, "--data-dir", dataDir, "--json"], {
    SALLYPORT_CA_KEY: CA_KEY,
  });
  assert.equal(running.json?.error.code, "store_in_use", "a broker that runs has the key before");
  await again.stop();

  const rekeyed = await brokerCli(["ca", "rekey", next, "--data-dir", dataDir], { SALLYPORT_CA_KEY: CA_KEY });
  assert.equal(rekeyed.code, 0, rekeyed.stderr);
  const old = await brokerCli([...run, "--json"], { SALLYPORT_CA_KEY: CA_KEY });
  assert.equal(old.json?.error.code, "ca_key_wrong");
  const rekeyedBroker = await startBroker({ dataDir, args: ["--ca-key-file", next] });
  assert.equal(rekeyedBroker.caFingerprint, plain.caFingerprint);
  await rekeyedBroker.stop();
});

test("backup and restore: the keys stay encrypted in it, and connectors of before come back", async (t) => {
  const folder = await temporary(t);
  const keyFile = join(folder, "ca-key");
  await writeFile(keyFile, CA_KEY, { mode: 0o600 });
  const stage = await stageWith(t, "--ca-key-file", keyFile);
  const backup = join(folder, "backup");
  const made = await brokerCli(["backup", "--data-dir", stage.dataDir, "--to", backup]);
  assert.equal(made.code, 0, made.stderr);
  for (const name of await readdir(join(backup, "ca"))) {
    assert.doesNotMatch(await readFile(join(backup, "ca", name), "utf8"), /BEGIN PRIVATE KEY/, name);
  }
  await stage.broker.stop();
  await rm(stage.dataDir, { recursive: true });
  const restored = await brokerCli(["restore", backup, "--data-dir", stage.dataDir]);
  assert.equal(restored.code, 0, restored.stderr);
  await stage.startBroker();
  await stage.until("it is connected", ({ connected }) => connected);
  await served(stage);
});

test("root key offline: exported, removed, and brought back for the next issuing certificate", async (t) => {
  const folder = await temporary(t);
  const dataDir = join(folder, "data");
  const made = await brokerCli(["init", "--data-dir", dataDir]);
  assert.equal(made.code, 0, made.stderr);
  const file = join(folder, "root.key.pem");
  const run = (...args: string[]) => brokerCli(["ca", ...args, "--data-dir", dataDir, "--json"]);
  assert.equal((await run("export-root-key", file, "--remove")).code, 0);
  assert.equal((await run("show")).json.rootKey, "offline");
  assert.equal((await run("renew-issuing")).json.error.code, "ca_root_key_offline");
  const broker = await startBroker({ dataDir });
  await broker.stop();
  assert.equal((await run("import-root-key", file)).code, 0);
  const before = (await run("show")).json.issuing.fingerprint;
  assert.notEqual((await run("renew-issuing")).json.issuing.fingerprint, before);
});

test("an authority elsewhere signs through a command; one that fails, hangs or signs something else is refused", async (t) => {
  const folder = await temporary(t);
  const root = await createRoot("elsewhere", Date.now());
  const issuing = await createIssuing(root, "elsewhere", Date.now());
  const certificates = join(folder, "ca.pem");
  const key = join(folder, "issuing.key");
  await writeFile(certificates, issuing.pem + root.pem);
  await writeFile(key, issuing.privateKey, { mode: 0o600 });
  const command = join(folder, "sign");
  const flags = process.versions.deno === undefined ? "" : "run -A --no-check";
  const script = (...args: string[]) =>
    writeFile(
      command,
      `#!/bin/sh\nexec '${process.execPath}' ${flags} '${SIGNER}' ${
        args.map((arg) => `'${arg}'`).join(" ")
      }\n`,
    );
  await script(key, "right");
  await chmod(command, 0o700);
  const stage = await stageWith(
    t,
    ...["--ca-sign-command", command, "--ca-certificates-file", certificates, "--ca-sign-timeout-ms", "5000"],
  );
  await served(stage);
  const [leaf] = readCertificates((await loadIdentity(stage.stateDir)).certificate);
  assert.ok(new X509Certificate(leaf.raw).verify(issuing.certificate.publicKey));
  assert.equal(stage.broker.caFingerprint, createHash("sha256").update(root.certificate.raw).digest("hex"));
  assert.ok(!(await readdir(stage.dataDir)).includes("ca"), "no key of ours");

  for (const how of ["fail", "other", "hang", "long"]) {
    await script(key, how);
    await rm(stage.stateDir, { recursive: true });
    await assert.rejects(stage.register(), /enrolment_failed|enrolment_busy|enrolment_refused|refused/, how);
  }
});

test("an authority elsewhere: init makes no other one; where it cannot sign just when its root changes it signs later", async (t) => {
  const folder = await temporary(t);
  const [certificates, key] = [join(folder, "ca.pem"), join(folder, "issuing.key")];
  const before = await createRoot("before", Date.now() - 86_400_000);
  const after = await createRoot("after", Date.now());
  const issuedBy = async (root: Authority, name: string) => {
    const issuing = await createIssuing(root, name, Date.now());
    await writeFile(certificates, issuing.pem + after.pem + before.pem);
    return issuing;
  };
  await writeFile(key, (await issuedBy(before, "before")).privateKey, { mode: 0o600 });
  const flags = process.versions.deno === undefined ? [] : ["run", "-A", "--no-check"];
  const command = [process.execPath, ...flags, SIGNER, key, "right"];
  const names = ["tunnel.test", "enrol.test"];
  const external = { command, certificates, timeoutMs: 30_000 };
  await using ca = await openCa(folder, { names, log: silentLog, checkIntervalMs: 86_400_000, external });
  const told: string[] = [];
  ca.onServerContext(({ name }) => told.push(name));

  const dataDir = join(folder, "data");
  const env = {
    SALLYPORT_CA_SIGN_COMMAND: command.join(","),
    SALLYPORT_CA_CERTIFICATES_FILE: certificates,
    SALLYPORT_CA_SIGN_TIMEOUT_MS: "30000",
  };
  const made = await brokerCli(["init", "--data-dir", dataDir, "--json"], env);
  assert.equal(made.json?.caFingerprint, ca.caFingerprint, made.stderr);
  assert.ok(!(await readdir(dataDir)).includes("ca"), "no key of ours");
  const shown = await brokerCli(["ca", "show", "--data-dir", dataDir, "--json"], env);
  assert.equal(shown.code, 0, shown.stderr);
  const states = shown.json.roots.map((
    { fingerprint, state }: Record<string, string>,
  ) => [fingerprint, state]);
  assert.deepEqual(states, [
    [certificateFingerprint(before.certificate), "in use"],
    [certificateFingerprint(after.certificate), "next"],
  ]);
  assert.deepEqual([shown.json.rootKey, shown.json.encrypted], ["elsewhere", null]);
  const changed = await brokerCli(["ca", "roll-over", "--data-dir", dataDir, "--json"], env);
  assert.deepEqual([changed.code, changed.json.error.code], [2, "usage_invalid"]);

  await rm(key); // The signing program fails without it.
  const issuing = await issuedBy(after, "after");
  await assert.rejects(ca.tend(), { code: "ca_sign_failed" });
  await writeFile(key, issuing.privateKey, { mode: 0o600 });
  await ca.tend();
  for (const name of names) {
    const [leaf] = readCertificates(ca.serverContext(name).cert);
    assert.ok(leaf.verify(issuing.certificate.publicKey), name);
  }
  await ca.tend();
  assert.deepEqual(told, names, "once each");
});

test("an authority elsewhere is shown also when it has ended, and its next root is told from the former one", async (t) => {
  const folder = await temporary(t);
  const certificates = join(folder, "ca.pem");
  const yearsAgo = (years: number) => Date.now() - years * 365 * 86_400_000;
  const [former, root, next] = await Promise.all(
    [40, 30, 1].map((years) => createRoot(`of ${years} years ago`, yearsAgo(years))),
  );
  const issuing = await createIssuing(root!, "ended", yearsAgo(25));
  await writeFile(certificates, [issuing, former, next, root].map((one) => one!.pem).join(""));
  const env = { SALLYPORT_CA_SIGN_COMMAND: "/bin/false", SALLYPORT_CA_CERTIFICATES_FILE: certificates };
  const show = (...more: string[]) => brokerCli(["ca", "show", "--data-dir", folder, ...more], env);
  const shown = await show("--json");
  assert.equal(shown.code, 0, shown.stderr);
  const of = (one: Authority, expired: boolean) => ({
    fingerprint: certificateFingerprint(one.certificate),
    notAfter: new Date(one.certificate.validTo).toISOString(),
    expired,
  });
  assert.deepEqual(shown.json.roots, [
    { ...of(root!, true), state: "in use" },
    { ...of(former!, true), state: "former" },
    { ...of(next!, false), state: "next" },
  ]);
  assert.deepEqual(shown.json.issuing, of(issuing, true));
  const { stdout } = await show();
  assert.match(stdout, /^issuing certificate +\S+, until \S+ \(HAS ENDED\)$/m);
  assert.match(stdout, /^root \(next\) +\S+, until \S+Z$/m);
});
