import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Server,
  type Socket,
} from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { getRequestListener } from "@hono/node-server";
import type { Hono } from "hono";
import { type Ca, openCa } from "../../src/broker/ca/ca.ts";
import { CertificateRate } from "../../src/broker/ca/certificate_rate.ts";
import { createEnrolmentApp, type EnrolmentAppOptions } from "../../src/broker/enrol/app.ts";
import { createEnrolmentSecret } from "../../src/broker/enrol/secret.ts";
import { DEFAULT_GROUP_ID } from "../../src/broker/model.ts";
import type { Store } from "../../src/broker/store/port.ts";
import { openStore } from "../../src/broker/store/sqlite.ts";
import { loadIdentity } from "../../src/connector/identity/identity.ts";
import { readCertificates } from "../../src/platform/certificate.ts";
import { silentLog } from "../../src/platform/log.ts";
import { encodeEnrolmentToken, ENROL_HELLO_PATH } from "../../src/protocol/enrolment.ts";

const MAIN = fileURLToPath(new URL("../../src/connector/main.ts", import.meta.url));
const ENROL_NAME = "enrol.sallyport.test";
const TUNNEL_NAME = "tunnel.sallyport.test";
const ADMIN = { kind: "admin", id: "test" } as const;
const HOUR_MS = 3_600_000;

interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
  /** Code of the error printed with --json. */
  error: string | undefined;
}

let folder: string;
let ca: Ca;
let store: Store & AsyncDisposable;
let server: Server;
let brokerAddress: string;
const refused: string[] = [];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-enrol-"));
  store = await openStore({ path: join(folder, "store.db") });
  ca = await openCa(folder, { names: [ENROL_NAME, TUNNEL_NAME], log: silentLog });
  const { key, cert } = ca.serverContext(ENROL_NAME);
  server = createHttpsServer({ key, cert }, answersOf(enrolmentApp()));
  brokerAddress = await listen(server);
});

after(async () => {
  await stopServer(server);
  await ca[Symbol.asyncDispose]();
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

/** The enrolment endpoint of a broker with this store and CA. */
function enrolmentApp(more: Partial<EnrolmentAppOptions> = {}): Hono {
  return createEnrolmentApp({
    rate: new CertificateRate(20),
    store,
    ca,
    brokerAddress: () => brokerAddress,
    tunnelName: TUNNEL_NAME,
    log: silentLog,
    counters: { enrolled: () => {}, refused: (code) => refused.push(code) },
    ...more,
  });
}

function answersOf(app: Hono) {
  return getRequestListener(app.fetch, { overrideGlobalObjects: false });
}

async function listen(tcp: Server): Promise<string> {
  tcp.listen(0, "127.0.0.1");
  await once(tcp, "listening");
  return `127.0.0.1:${(tcp.address() as AddressInfo).port}`;
}

async function stopServer(tcp: Server): Promise<void> {
  const closed = once(tcp, "close");
  tcp.close();
  (tcp as Server & { closeAllConnections?: () => void }).closeAllConnections?.();
  await closed;
}

/** An HTTPS server for the time of a test; gives its address. */
async function serve(
  t: TestContext,
  { key, cert }: { key: string; cert: string },
  answer: RequestListener = (_request, response) => response.end(),
): Promise<string> {
  const https = createHttpsServer({ key, cert }, answer);
  t.after(() => stopServer(https));
  return await listen(https);
}

/** A TCP server that does with each connection what it is told. */
async function relay(t: TestContext, accept: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const tcp = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    accept(socket);
  });
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await stopServer(tcp);
  });
  return await listen(tcp);
}

async function newToken(
  options: { maxUses?: number; expiresInMs?: number; address?: string; fingerprint?: string } = {},
) {
  const { maxUses = 1, expiresInMs = HOUR_MS, address = brokerAddress, fingerprint = ca.caFingerprint } =
    options;
  const { secret, sha256 } = createEnrolmentSecret();
  const record = await store.createEnrolmentToken(ADMIN, {
    description: "test",
    groupId: DEFAULT_GROUP_ID,
    expiresAt: Date.now() + expiresInMs,
    maxUses,
    secretSha256: sha256,
  });
  return { id: record.id, text: tokenText(secret, address, fingerprint) };
}

function tokenText(secret: string, address = brokerAddress, caFingerprint = ca.caFingerprint): string {
  return encodeEnrolmentToken({
    brokerAddress: address,
    tunnelName: TUNNEL_NAME,
    enrolName: ENROL_NAME,
    caFingerprint,
    secret,
  });
}

/** Runs the real program, on the runtime that runs this test, with the token on standard input. */
async function cli(token: string, stateDir: string, ...more: string[]): Promise<Outcome> {
  return await run(["register", "--token-file", "-", "--state-dir", stateDir, "--json", ...more], token);
}

async function run(args: string[], input = "", env: Record<string, string> = {}): Promise<Outcome> {
  const runtime = process.versions.deno === undefined ? [] : ["run", "-A", "--no-check"];
  const child: ChildProcess = spawn(process.execPath, [...runtime, MAIN, ...args], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text) => stdout += text);
  child.stderr?.setEncoding("utf8").on("data", (text) => stderr += text);
  child.stdin?.on("error", () => {}).end(input);
  const [code] = await once(child, "close");
  const line = stderr.split("\n").find((text) => text.startsWith('{"error"'));
  return { code, stdout, stderr, error: line === undefined ? undefined : JSON.parse(line).error.code };
}

async function stateDir(t: TestContext): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), "sallyport-state-"));
  t.after(() => rm(parent, { recursive: true, force: true }));
  return join(parent, "connector");
}

/** How often a token was used. */
async function usesOf(id: string): Promise<number> {
  return (await store.getEnrolmentToken(id)).uses;
}

const exists = (path: string) => stat(path).then(() => true, () => false);

test("register: leaves an identity and nothing else, each file with its mode", async (t) => {
  const state = await stateDir(t);
  const { text } = await newToken();
  const { code, stdout, stderr } = await cli(text, state);
  assert.equal(code, 0, stderr);
  const result = JSON.parse(stdout);
  const modes = await Promise.all(
    (await readdir(state)).sort().map(async (name) => [
      name,
      ((await stat(join(state, name))).mode & 0o777).toString(8),
    ]),
  );
  assert.deepEqual(modes, [
    ["broker.json", "644"],
    ["ca.pem", "644"],
    ["certificate.pem", "644"],
    ["key.pem", "600"],
  ]);
  assert.equal((await stat(state)).mode & 0o777, 0o700);
  assert.deepEqual(JSON.parse(await readFile(join(state, "broker.json"), "utf8")), {
    brokerAddress,
    tunnelName: TUNNEL_NAME,
    enrolName: ENROL_NAME,
    connectorId: result.connectorId,
  });
  const identity = await loadIdentity(state);
  const record = await store.getConnector(result.connectorId);
  assert.equal(record.groupId, DEFAULT_GROUP_ID);
  assert.equal(record.certificateNotAfter, identity.notAfter);
  assert.deepEqual(ca.identityOf(readCertificates(identity.certificate)[0]), {
    connectorId: result.connectorId,
    serial: record.certificateSerial,
    notAfter: identity.notAfter,
  });
});

test("register: a second time needs --force and then is a new connector", async (t) => {
  const state = await stateDir(t);
  const { text } = await newToken({ maxUses: 2 });
  const first = JSON.parse((await cli(text, state)).stdout).connectorId;
  const before = await readFile(join(state, "key.pem"), "utf8");
  const again = await cli(text, state);
  assert.deepEqual([again.code, again.error], [1, "already_registered"]);
  assert.equal(await readFile(join(state, "key.pem"), "utf8"), before);
  const forced = await cli(text, state, "--force");
  assert.equal(forced.code, 0, forced.stderr);
  assert.notEqual(JSON.parse(forced.stdout).connectorId, first);
  assert.equal((await readdir(state)).length, 4);
});

test("register: used, expired, revoked and unknown tokens each have their code, and leave nothing", async (t) => {
  const used = await newToken();
  assert.equal((await cli(used.text, await stateDir(t))).code, 0);
  const expired = await newToken({ expiresInMs: -1 });
  const revoked = await newToken();
  await store.revokeEnrolmentToken(ADMIN, revoked.id);
  const unknown = tokenText(createEnrolmentSecret().secret);
  for (
    const [text, code] of [
      [used.text, "token_used"],
      [expired.text, "token_expired"],
      [revoked.text, "token_revoked"],
      [unknown, "token_unknown"],
    ] as const
  ) {
    const state = await stateDir(t);
    const outcome = await cli(text, state);
    assert.deepEqual([outcome.code, outcome.error], [1, code]);
    assert.equal(await exists(state), false);
    assert.equal(outcome.stderr.includes(text), false);
  }
  assert.ok(refused.includes("token_used"));
});

test("register: a token that is cut off is told apart from an unknown one", async (t) => {
  const { text } = await newToken();
  const outcome = await cli(text.slice(0, -10), await stateDir(t));
  assert.deepEqual([outcome.code, outcome.error], [2, "token_malformed"]);
});

test("register: the token comes from a file or the environment, never from the command line", async (t) => {
  const { text } = await newToken({ maxUses: 2 });
  const [state, other] = [await stateDir(t), await stateDir(t)];
  const file = `${state}.token`;
  await writeFile(file, `${text}\n`);
  assert.equal((await run(["register", "--token-file", file, "--state-dir", state])).code, 0);
  assert.equal((await run(["register"], "", { SALLYPORT_TOKEN: text, SALLYPORT_STATE_DIR: other })).code, 0);
  const argument = await run(["register", text, "--state-dir", await stateDir(t), "--json"]);
  assert.deepEqual([argument.code, argument.error], [2, "token_in_arguments"]);
  const flag = await run(["register", `--token=${text}`]);
  assert.equal(flag.code, 2);
  assert.doesNotMatch(flag.stderr, /spt1_/);
  const missing = await run(["register", "--state-dir", await stateDir(t), "--json"]);
  assert.deepEqual([missing.code, missing.error], [2, "token_missing"]);
});

test("register: a server with another CA is refused before a word is said", async (t) => {
  const otherFolder = await stateDir(t);
  await using other = await openCa(otherFolder, { names: [ENROL_NAME], log: silentLog });
  const { id, text } = await newToken({ fingerprint: other.caFingerprint });
  const state = await stateDir(t);
  const outcome = await cli(text, state);
  assert.deepEqual([outcome.code, outcome.error], [1, "ca_fingerprint_mismatch"]);
  assert.equal(await exists(state), false);
  assert.equal(await usesOf(id), 0);
});

test("register: a server that shows the right CA beside a certificate of its own is refused", async (t) => {
  await using other = await openCa(await stateDir(t), { names: [ENROL_NAME], log: silentLog });
  const { key, cert } = other.serverContext(ENROL_NAME);
  const impostor = await serve(t, { key, cert: cert + ca.trustAnchors });
  const { id, text } = await newToken({ address: impostor });
  const outcome = await cli(text, await stateDir(t));
  assert.equal(outcome.code, 1);
  assert.match(outcome.error ?? "", /^(ca_fingerprint_mismatch|broker_untrusted)$/);
  assert.equal(await usesOf(id), 0);
});

test("register: a server with the right CA but another name is refused", async (t) => {
  const { text } = await newToken({ address: await serve(t, ca.serverContext(TUNNEL_NAME)) });
  assert.equal((await cli(text, await stateDir(t))).error, "broker_name_mismatch");
});

test("register: a broker that cannot be reached or resolved, or speaks no TLS, has its code", async (t) => {
  const plain = await relay(t, (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
  const closing = await relay(t, (socket) => socket.destroy());
  for (
    const [address, code] of [
      // Nobody listens on port 1.
      ["127.0.0.1:1", /^broker_unreachable$/],
      ["nowhere.invalid:443", /^broker_unresolvable$/],
      [plain, /^tls_failed$/],
      [closing, /^(broker_lost|broker_unreachable|tls_failed)$/],
    ] as const
  ) {
    const state = await stateDir(t);
    const { error, stderr } = await cli((await newToken({ address })).text, state);
    assert.match(error ?? stderr, code);
    assert.equal(await exists(state), false);
  }
});

test("register: a broker that falls silent at any step ends at that step's deadline", async (t) => {
  const silent = await relay(t, () => {});
  // Lets the first connection through, which fetches the root, and falls silent on the second.
  let count = 0;
  const half = await relay(t, (socket) => {
    if (count++ > 0) return;
    const upstream = connect(Number(brokerAddress.split(":")[1]), "127.0.0.1");
    upstream.on("error", () => {}).on("close", () => socket.destroy());
    socket.on("close", () => upstream.destroy()).pipe(upstream).pipe(socket);
  });
  // Begins a TLS record and never ends it.
  const stuck = await relay(t, (socket) => socket.write(Buffer.from([0x16, 3, 3, 0x10, 0, 2])));
  for (const address of [silent, half, stuck]) {
    const state = await stateDir(t);
    const outcome = await cli((await newToken({ address })).text, state, "--step-timeout-ms", "1000");
    assert.deepEqual([outcome.code, outcome.error], [1, "broker_timeout"], outcome.stderr);
    assert.match(outcome.stderr, /"step":"tls"/);
    assert.equal(await exists(state), false);
  }
});

test("register: an answer that is lost is had again, with the same token and key", async (t) => {
  let deaf = true;
  const app = enrolmentApp();
  const answer = answersOf(app);
  const flaky = await serve(t, ca.serverContext(ENROL_NAME), async (request, response) => {
    if (!deaf || request.method === "GET") return answer(request, response);
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    // The broker does all of its work; only the answer never leaves.
    const { method = "POST", url = "/" } = request;
    await app.fetch(new Request(`https://${ENROL_NAME}${url}`, { method, body: Buffer.concat(parts) }));
  });
  const { id, text } = await newToken({ address: flaky });
  const state = await stateDir(t);
  const silent = await cli(text, state, "--step-timeout-ms", "3000");
  assert.deepEqual([silent.code, silent.error], [1, "broker_timeout"]);
  assert.match(silent.stderr, /"step":"answer"/);
  const [pending, ...others] = await readdir(state);
  assert.match(pending ?? "", /^pending-[0-9a-f]{16}\.pem$/);
  assert.deepEqual(others, []);
  assert.equal(await usesOf(id), 1);

  deaf = false;
  const again = await cli(text, state);
  assert.equal(again.code, 0, again.stderr);
  assert.equal(await usesOf(id), 1);
  assert.deepEqual((await readdir(state)).sort(), ["broker.json", "ca.pem", "certificate.pem", "key.pem"]);
  const { certificate, connectorId } = await loadIdentity(state);
  assert.equal(await store.connectorCertificate(connectorId), certificate);
});

test("register: of two at once with a token for one use, one wins", async (t) => {
  const { id, text } = await newToken();
  const outcomes = await Promise.all([cli(text, await stateDir(t)), cli(text, await stateDir(t))]);
  assert.deepEqual(outcomes.map(({ code }) => code).sort(), [0, 1]);
  assert.equal(outcomes.find(({ code }) => code === 1)?.error, "token_used");
  assert.equal(await usesOf(id), 1);
});

test("register: a state folder that is none, or open to others, is refused before the token is used", async (t) => {
  const { id, text } = await newToken();
  const state = await stateDir(t);
  await writeFile(state, "");
  assert.equal((await cli(text, state)).error, "state_unreadable");
  await rm(state);
  await mkdir(state);
  await chmod(state, 0o777);
  assert.equal((await cli(text, state)).error, "state_permissions");
  assert.equal(await usesOf(id), 0);
});

test("enrolment endpoint: tells the time, and refuses what is too large, no JSON, incomplete or elsewhere", async () => {
  const app = enrolmentApp();
  const hello = await (await app.request(ENROL_HELLO_PATH)).json() as { time: number };
  assert.ok(Math.abs(hello.time - Date.now()) < 60_000);
  const post = async (body: string) => {
    const response = await app.request("/enrol/v1/connectors", { method: "POST", body });
    return [
      response.status,
      response.headers.get("content-type"),
      (await response.json() as { code: string }).code,
    ];
  };
  const type = "application/problem+json";
  assert.deepEqual(await post("x".repeat(70_000)), [413, type, "request_too_large"]);
  assert.deepEqual(await post("not json"), [400, type, "request_invalid"]);
  assert.deepEqual(await post("{}"), [400, type, "request_invalid"]);
  assert.equal((await app.request("/elsewhere")).status, 404);
});

test("enrolment endpoint: a source that tries secrets is slowed down, others are not", async () => {
  let address = "192.0.2.1";
  let now = Date.now();
  const app = enrolmentApp({
    sourceAddress: () => address,
    clock: { now: () => now },
    sourceLimit: { burst: 3, refillMs: 10_000 },
  });
  const { createCertificateRequest, generatePrivateKey } = await import("../../src/platform/x509.ts");
  const csr = await createCertificateRequest(await generatePrivateKey("p256"), "host");
  const attempt = async () => {
    const { secret } = createEnrolmentSecret();
    const body = JSON.stringify({ secret, csr, machineName: "m", os: "linux", version: "1" });
    const response = await app.request("/enrol/v1/connectors", { method: "POST", body });
    return [(await response.json() as { code: string }).code, response.headers.get("retry-after")];
  };
  for (let count = 0; count < 3; count++) assert.deepEqual(await attempt(), ["token_unknown", null]);
  assert.deepEqual(await attempt(), ["source_limited", "10"]);
  address = "192.0.2.2";
  assert.deepEqual(await attempt(), ["token_unknown", null]);
  address = "192.0.2.1";
  now += 10_000;
  assert.deepEqual(await attempt(), ["token_unknown", null]);
  assert.deepEqual(await attempt(), ["source_limited", "10"]);
});
