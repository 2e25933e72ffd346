import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, test, type TestContext } from "node:test";
import { getRequestListener } from "@hono/node-server";
import { publicKeyOf } from "../../src/broker/ca/authority.ts";
import { openCa } from "../../src/broker/ca/ca.ts";
import { CertificateRate } from "../../src/broker/ca/certificate_rate.ts";
import { createEnrolmentApp } from "../../src/broker/enrol/app.ts";
import { createEnrolmentSecret } from "../../src/broker/enrol/secret.ts";
import { openStore } from "../../src/broker/store/sqlite.ts";
import { type BrokerProcess, startBroker, startConnector } from "../../src/demo/processes.ts";
import { readCertificates } from "../../src/platform/certificate.ts";
import { silentLog } from "../../src/platform/log.ts";
import { createCertificate, generatePrivateKey } from "../../src/platform/x509.ts";
import { encodeEnrolmentToken, parseEnrolmentToken } from "../../src/protocol/enrolment.ts";
import { connectorCli } from "../support/connector_cli.ts";
import { connectorRuntime } from "../support/connector_runtime.ts";

/** A clock by which nothing is wrong that is an hour off. */
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

let folder: string;
let broker: BrokerProcess;
let count = 0;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-registration-"));
  broker = await startBroker({ dataDir: join(folder, "broker"), args: ["--drain-ms", "0"] });
});

after(async () => {
  await broker.stop();
  await rm(folder, { recursive: true, force: true });
});

const newState = () => join(folder, `connector-${count++}`);
const newToken = (settings: Record<string, unknown> = {}) => broker.admin.enrolmentToken(settings);
const exists = (path: string) => stat(path).then(() => true, () => false);

async function uses(description: string): Promise<number> {
  const { items } = await broker.admin.request("GET", "enrolment-tokens") as {
    items: { description: string; uses: number }[];
  };
  return items.find((item) => item.description === description)!.uses;
}

async function connectorOf(stdout: string): Promise<Record<string, unknown>> {
  const { connectorId } = JSON.parse(stdout);
  return await broker.admin.request("GET", `connectors/${connectorId}`) as Record<string, unknown>;
}

test("register: a token for another machine or network is refused by name, and is not used", async () => {
  const elsewhere = await newToken({ description: "elsewhere", networks: ["192.0.2.0/24"] });
  const state = newState();
  const network = await connectorCli(["register", "--token-file", "-", "--state-dir", state, "--json"], {
    input: elsewhere,
  });
  assert.deepEqual([network.code, network.error], [1, "token_wrong_network"], network.stderr);
  assert.equal(await exists(state), false);
  assert.equal(await uses("elsewhere"), 0);

  const other = await newToken({ description: "other", machineName: "dmz-1", networks: ["127.0.0.0/8"] });
  const args = ["register", "--token-file", "-", "--state-dir", state, "--json"];
  const machine = await connectorCli([...args, "--machine-name", "dmz-2"], { input: other });
  assert.deepEqual([machine.code, machine.error], [1, "token_wrong_machine"], machine.stderr);
  assert.equal(await uses("other"), 0);
  const right = await connectorCli([...args, "--machine-name", "DMZ-1"], { input: other });
  assert.equal(right.code, 0, right.stderr);
  assert.equal((await connectorOf(right.stdout)).machineName, "DMZ-1");
});

test("register: the token is nowhere in the list of processes, wherever it comes from", {
  skip: process.platform === "linux" ? false : "reads /proc",
}, async () => {
  const file = join(folder, "token");
  const secrets: string[] = [];
  for (const source of ["file", "stdin", "variable", "answers"] as const) {
    const token = await newToken();
    secrets.push(token);
    await writeFile(file, source === "answers" ? `token: ${token}\n` : token, { mode: 0o600 });
    const args = ["register", "--state-dir", newState(), "--json"];
    if (source === "file") args.push("--token-file", file);
    if (source === "stdin") args.push("--token-file", "-");
    if (source === "answers") args.push("--answer-file", file);
    const seen: string[] = [];
    const outcome = await connectorCli(args, {
      ...(source === "stdin" ? { input: token } : {}),
      ...(source === "variable" ? { env: { SALLYPORT_TOKEN: token } } : {}),
      onStart: (child) => {
        const look = () =>
          readFile(`/proc/${child.pid}/cmdline`, "utf8").then((text) => {
            seen.push(text);
            if (child.exitCode === null) setImmediate(look);
          }, () => {});
        child.once("spawn", look);
      },
    });
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.ok(seen.some((text) => text.includes("register")), "the command line was seen");
    assert.ok(seen.every((text) => secrets.every((secret) => !text.includes(secret))));
    assert.ok(
      secrets.every((secret) => !outcome.stdout.includes(secret) && !outcome.stderr.includes(secret)),
    );
  }
});

test("register: everything can be said in an answer file; flags and variables win over it", async () => {
  const [state, other] = [newState(), newState()];
  const answers = join(folder, "answers.yaml");
  await writeFile(
    answers,
    [
      `token: ${await newToken({ maxUses: 2 })}`,
      `stateDir: ${state}`,
      "machineName: from-file",
      "keyType: p384",
      `caFingerprint: ${broker.caFingerprint.toUpperCase().replace(/..(?=.)/g, "$&:")}`,
      "stepTimeoutMs: 20000",
    ].join("\n"),
  );
  const plain = await connectorCli(["register", "--answer-file", answers, "--json"]);
  assert.equal(plain.code, 0, plain.stderr);
  assert.equal((await connectorOf(plain.stdout)).machineName, "from-file");
  const [leaf] = readCertificates(await readFile(join(state, "certificate.pem"), "utf8"));
  assert.match(String(leaf.publicKey.asymmetricKeyDetails?.namedCurve), /384/);
  const again = await connectorCli(["register", "--answer-file", answers, "--json"]);
  assert.deepEqual([again.code, again.error], [1, "already_registered"]);

  const overruled = await connectorCli(["register", "--machine-name", "from-flag", "--json"], {
    env: {
      SALLYPORT_ANSWER_FILE: answers,
      SALLYPORT_STATE_DIR: other,
      SALLYPORT_MACHINE_NAME: "from-variable",
    },
  });
  assert.equal(overruled.code, 0, overruled.stderr);
  assert.equal((await connectorOf(overruled.stdout)).machineName, "from-flag");
  assert.ok(await exists(join(other, "broker.json")));
});

test("register: an answer file with an unknown key, a wrong value or no YAML is refused, without its token", async () => {
  const token = await newToken();
  const answers = join(folder, "bad.yaml");
  for (
    const [text, code] of [
      [`token: ${token}\nmachinName: x\n`, "configuration_key_unknown"],
      [`token: ${token}\nkeyType: rsa1024\n`, "configuration_value_invalid"],
      [`token: [${token}]\n`, "configuration_value_invalid"],
      [`token: "${token}\n`, "configuration_file_invalid"],
    ] as const
  ) {
    await writeFile(answers, text);
    const outcome = await connectorCli([
      "register",
      "--answer-file",
      answers,
      "--state-dir",
      newState(),
      "--json",
    ]);
    assert.deepEqual([outcome.code, outcome.error], [2, code], outcome.stderr);
    if (code !== "configuration_file_invalid") assert.ok(!outcome.stderr.includes(token));
  }
  const missing = await connectorCli(["register", "--answer-file", join(folder, "none"), "--json"]);
  assert.deepEqual([missing.code, missing.error], [2, "configuration_file_unreadable"]);
});

test("register: a fingerprint told by another way has to be the token's", async () => {
  const token = await newToken({ description: "fingerprint" });
  const state = newState();
  const args = ["register", "--token-file", "-", "--state-dir", state, "--json", "--ca-fingerprint"];
  const wrong = await connectorCli([...args, "ab".repeat(32)], { input: token });
  assert.deepEqual([wrong.code, wrong.error], [1, "ca_fingerprint_mismatch"], wrong.stderr);
  assert.equal(wrong.details.step, "token");
  const short = await connectorCli([...args, "abcd"], { input: token });
  assert.deepEqual([short.code, short.error], [1, "ca_fingerprint_mismatch"], short.stderr);
  assert.equal(await uses("fingerprint"), 0);
  assert.equal((await connectorCli([...args, broker.caFingerprint], { input: token })).code, 0);
});

test("run: on a host that is not registered it says what to do and ends with 2", async () => {
  const outcome = await connectorCli(["run", "--state-dir", newState(), "--json"]);
  assert.deepEqual([outcome.code, outcome.error], [2, "state_not_registered"], outcome.stderr);
  assert.match(outcome.stderr, /register --token-file/);
  const empty = await connectorCli(["run", "--state-dir", newState(), "--json"], {
    env: { SALLYPORT_TOKEN: " " },
  });
  assert.deepEqual([empty.code, empty.error], [2, "token_missing"]);
});

test("run: a golden image with a token in its configuration registers first, once", async () => {
  const [state, file] = [newState(), join(folder, "golden.token")];
  await writeFile(file, await newToken({ description: "golden", maxUses: 5 }));
  const config = join(folder, "golden.yaml");
  await writeFile(config, `tokenFile: ${file}\nmachineName: golden-7\n`);
  for (let start = 0; start < 2; start++) {
    const connector = await startConnector({
      stateDir: state,
      runtime: connectorRuntime(),
      args: ["--config", config],
    });
    const { connectorId } = JSON.parse(await readFile(join(state, "broker.json"), "utf8"));
    const facts = await broker.admin.request("GET", `connectors/${connectorId}`) as Record<string, unknown>;
    assert.deepEqual([facts.connected, facts.machineName], [true, "golden-7"]);
    await connector.stop();
  }
  assert.equal(await uses("golden"), 1);
});

test("run: a golden image whose token is refused ends with the reason", async () => {
  const token = await newToken({ networks: ["192.0.2.0/24"] });
  const outcome = await connectorCli(["run", "--state-dir", newState(), "--json"], {
    env: { SALLYPORT_TOKEN: token },
  });
  assert.deepEqual([outcome.code, outcome.error], [1, "token_wrong_network"]);
});

test("run: a slip in the configuration ends with 2 before the token is used", async () => {
  const token = await newToken({ description: "slip" });
  const config = join(folder, "slip.yaml");
  const slips = [
    ["allow_list_invalid", 'allow: ["10.0.0.0/99"]'],
    [
      "backend_misconfigured",
      "backendClientCertificates: { own: { certificate: /none.pem, key: /none.pem } }",
    ],
  ] as const;
  for (const [code, line] of slips) {
    await writeFile(config, `${line}\n`);
    const state = newState();
    const outcome = await connectorCli(["run", "--state-dir", state, "--config", config, "--json"], {
      env: { SALLYPORT_TOKEN: token },
    });
    assert.deepEqual([outcome.code, outcome.error], [2, code], outcome.stderr);
    assert.equal(await exists(state), false);
  }
  assert.equal(await uses("slip"), 0);
});

test("run: stopped while it waits for its broker to register, it ends with 0 and no error", async () => {
  const token = parseEnrolmentToken(await newToken());
  const outcome = await connectorCli(["run", "--state-dir", newState(), "--json"], {
    env: { SALLYPORT_TOKEN: encodeEnrolmentToken({ ...token, brokerAddress: "127.0.0.1:1" }) },
    onStart: (child) => {
      for (const stream of [child.stdout!, child.stderr!]) {
        // On Deno `child.kill` has any later exit look like one by the signal.
        stream.on(
          "data",
          (text) => String(text).includes("not registered yet") && process.kill(child.pid!, "SIGTERM"),
        );
      }
    },
  });
  assert.deepEqual([outcome.code, outcome.error], [0, undefined], outcome.stderr);
});

/** A TLS server in the broker's place. */
async function inPlaceOfBroker(
  t: TestContext,
  tls: { key: string; cert: string },
  answer: ConstructorParameters<typeof Server>[1] = (_request, response) => response.end(),
): Promise<string> {
  const server = createServer(tls, answer);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(async () => {
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    await closed;
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const registerWith = (token: string) =>
  connectorCli(["register", "--token-file", "-", "--state-dir", newState(), "--json"], { input: token });

test("register: a proxy that intercepts TLS is named by its issuer, and told apart from another broker", async (t) => {
  const token = parseEnrolmentToken(await newToken({ description: "intercepted" }));
  const rootKey = await generatePrivateKey("p256");
  const dates = { notBefore: new Date(Date.now() - DAY_MS), notAfter: new Date(Date.now() + DAY_MS) };
  const root = await createCertificate({
    purpose: "root",
    commonName: "Corp Inspection CA",
    publicKey: publicKeyOf(rootKey),
    ...dates,
    issuer: { privateKey: rootKey, certificate: null },
  });
  const key = await generatePrivateKey("p256");
  const leaf = await createCertificate({
    purpose: "server",
    commonName: token.enrolName,
    dnsName: token.enrolName,
    publicKey: publicKeyOf(key),
    ...dates,
    issuer: { privateKey: rootKey, certificate: readCertificates(root)[0] },
  });
  for (const cert of [leaf + root, leaf]) {
    const brokerAddress = await inPlaceOfBroker(t, { key, cert });
    const outcome = await registerWith(encodeEnrolmentToken({ ...token, brokerAddress }));
    assert.deepEqual([outcome.code, outcome.error], [1, "tls_intercepted"], outcome.stderr);
    assert.match(String(outcome.details.issuer), /Corp Inspection CA/);
  }
  await using other = await openCa(newState(), { names: [token.enrolName], log: silentLog });
  const brokerAddress = await inPlaceOfBroker(t, other.serverContext(token.enrolName));
  const outcome = await registerWith(encodeEnrolmentToken({ ...token, brokerAddress }));
  assert.deepEqual([outcome.code, outcome.error], [1, "ca_fingerprint_mismatch"], outcome.stderr);
  assert.equal(await uses("intercepted"), 0);
});

test("register: clocks that differ by more than 5 minutes are named before the token is used", async (t) => {
  for (
    const [what, caOffsetMs, offsetMs, code] of [
      ["a broker ahead, by its answer", 0, 10 * 60_000, "clock_wrong"],
      ["a broker behind, by its answer", 0, -10 * 60_000, "clock_wrong"],
      ["a broker ahead, by its certificate", 2 * HOUR_MS, 2 * HOUR_MS, "clock_wrong"],
      ["a broker behind, by its certificate", -200 * DAY_MS, -200 * DAY_MS, "clock_wrong"],
      ["a broker 4 minutes behind", 0, -4 * 60_000, undefined],
    ] as const
  ) {
    const dataDir = newState();
    const [enrolName, tunnelName] = ["enrol.sallyport.test", "tunnel.sallyport.test"];
    const clockOf = (ms: number) => ({ now: () => Date.now() + ms });
    await using ca = await openCa(dataDir, {
      names: [enrolName],
      log: silentLog,
      clock: clockOf(caOffsetMs),
    });
    await using store = await openStore({ path: join(dataDir, "store.db") });
    const { secret, sha256 } = createEnrolmentSecret();
    const expiresAt = Date.now() + DAY_MS;
    const made = await store.createEnrolmentToken({ kind: "admin", id: "test" }, {
      description: "",
      groupId: "default",
      expiresAt,
      maxUses: 1,
      secretSha256: sha256,
    });
    let brokerAddress = "";
    const rate = new CertificateRate(20);
    const parts = { store, ca, rate, tunnelName, log: silentLog, clock: clockOf(offsetMs) };
    const app = createEnrolmentApp({ ...parts, brokerAddress: () => brokerAddress });
    const answer = getRequestListener(app.fetch, { overrideGlobalObjects: false });
    brokerAddress = await inPlaceOfBroker(t, ca.serverContext(enrolName), answer as never);
    const { caFingerprint } = ca;
    const outcome = await registerWith(
      encodeEnrolmentToken({ brokerAddress, tunnelName, enrolName, caFingerprint, secret }),
    );
    assert.equal(outcome.error, code, `${what}: ${outcome.stderr}`);
    assert.equal((await store.getEnrolmentToken(made.id)).uses, code === undefined ? 1 : 0, what);
  }
});
