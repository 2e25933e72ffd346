import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import type { AddressInfo, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test, type TestContext } from "node:test";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { type Authority, createIssuing, createRoot, publicKeyOf } from "../../src/broker/ca/authority.ts";
import { connectorUri, identityOf } from "../../src/broker/ca/identity.ts";
import { DataPlaneCounters } from "../../src/broker/metrics/counters.ts";
import { Registry } from "../../src/broker/registry/registry.ts";
import type { Store } from "../../src/broker/store/port.ts";
import { RememberedStore } from "../../src/broker/store/remembered.ts";
import { openStore } from "../../src/broker/store/sqlite.ts";
import { createTunnelApp } from "../../src/broker/tunnel/app.ts";
import { createTunnelServer, type TunnelServer } from "../../src/broker/tunnel/server.ts";
import { Tunnels } from "../../src/broker/tunnel/tunnels.ts";
import { publicKeySha256, readCertificates, validity } from "../../src/platform/certificate.ts";
import { silentLog } from "../../src/platform/log.ts";
import { type CertificatePurpose, createCertificate, generatePrivateKey } from "../../src/platform/x509.ts";
import { CreditBudget } from "../../src/tunnel/credit_budget.ts";
import { rsaKey, weakCertificate } from "../support/weak_certificates.ts";

const TUNNEL_NAME = "tunnel.sallyport.test";
const ADMIN = { kind: "admin", id: "test" } as const;
const MINUTE_MS = 60_000;

let folder: string;
let store: Store & AsyncDisposable;
let root: Authority;
let issuing: Authority;
let registry: Registry;
let tunnels: Tunnels;
let tunnelServer: TunnelServer;
let port: number;
let key: string;
let count = 0;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-admission-"));
  store = await openStore({ path: join(folder, "store.db") });
  root = await createRoot("test", Date.now());
  issuing = await createIssuing(root, "test", Date.now());
  key = await generatePrivateKey("p256");
  registry = new Registry(new CreditBudget(1_000_000), {
    waitForConnectorMs: 1_000,
    waitForConnectorMax: 10,
    waitForLaneMax: 10,
  });
  tunnels = new Tunnels(
    {
      registry,
      counters: new DataPlaneCounters(),
      log: silentLog,
      store: new RememberedStore(store),
      times: { pingIntervalMs: 60_000, timeoutMs: 180_000 },
      probeTimes: { intervalMs: 60_000, timeoutMs: 60_000, misses: 2 },
      maxLanes: 16,
      nodeId: "node",
      softwareVersion: "1.0.0",
      identities: { renew: () => Promise.reject(new Error("not here")), trustAnchors: () => root.pem },
    } as ConstructorParameters<typeof Tunnels>[0],
  );
  const app = createTunnelApp({
    store,
    tunnels,
    identityOf: (leaf) => identityOf(leaf, [issuing.certificate], Date.now()),
    externalIpOf: () => "192.0.2.1",
    log: silentLog,
  });
  const serverKey = await generatePrivateKey("p256");
  const serverCertificate = await createCertificate({
    purpose: "server",
    commonName: TUNNEL_NAME,
    dnsName: TUNNEL_NAME,
    publicKey: publicKeyOf(serverKey),
    notBefore: new Date(Date.now() - MINUTE_MS),
    notAfter: new Date(Date.now() + 60 * MINUTE_MS),
    issuer: issuing,
  });
  tunnelServer = createTunnelServer(app, {
    credentials: { key: serverKey, cert: serverCertificate + issuing.pem, ca: root.pem },
    minVersion: "TLSv1.2",
    maxLanes: 16,
    onTlsError: () => {},
  });
  const server = tunnelServer.server as unknown as Server;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  port = (server.address() as AddressInfo).port;
});

after(async () => {
  tunnels[Symbol.dispose]();
  tunnelServer.close();
  tunnelServer.server.close();
  registry[Symbol.dispose]();
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

/** A connector of the store, with nothing issued to it yet. */
async function newConnector(): Promise<string> {
  const name = `connector ${count++}`;
  const common = { description: "", groupId: "default", maxUses: 1, expiresAt: Date.now() + MINUTE_MS };
  await store.createEnrolmentToken(ADMIN, { ...common, secretSha256: name });
  const facts = {
    machineName: name,
    os: "linux",
    softwareVersion: "1",
    externalIp: "",
    publicKeySha256: name,
  };
  return (await store.enrolConnector(name, facts, Date.now())).id;
}

interface Issue {
  authority?: Authority;
  purpose?: CertificatePurpose;
  fromMs?: number;
  untilMs?: number;
  /** Whose it is on record; null: on nobody's. */
  recordedFor?: string | null;
}

/** A certificate for `key`, signed by the right authority for the right purpose unless told otherwise. */
async function issue(connectorId: string, options: Issue = {}): Promise<string> {
  const { authority = issuing, purpose = "client", fromMs = -MINUTE_MS, untilMs = MINUTE_MS } = options;
  const { recordedFor = connectorId } = options;
  const pem = await createCertificate({
    purpose,
    commonName: connectorId,
    uri: connectorUri(connectorId),
    publicKey: publicKeyOf(key),
    notBefore: new Date(Date.now() + fromMs),
    notAfter: new Date(Date.now() + untilMs),
    issuer: authority,
  });
  if (recordedFor !== null) await record(recordedFor, pem);
  return pem;
}

async function record(connectorId: string, pem: string): Promise<string> {
  const [leaf] = readCertificates(pem);
  const serial = leaf.serialNumber.toLowerCase();
  const sha256 = publicKeySha256(leaf.publicKey);
  await store.setConnectorCertificate(connectorId, {
    serial,
    ...validity(leaf),
    publicKeySha256: sha256,
    pem,
  });
  return serial;
}

function dial(t: TestContext, cert: string, more: { key?: string; ciphers?: string } = {}) {
  const socket: TLSSocket = connectTls({
    host: "127.0.0.1",
    port,
    servername: TUNNEL_NAME,
    ca: root.pem,
    cert,
    key,
    ALPNProtocols: ["h2"],
    ...more,
  });
  const session: ClientHttp2Session = connectHttp2(`https://${TUNNEL_NAME}`, {
    createConnection: () => socket,
  });
  session.on("error", () => {});
  socket.on("error", () => {});
  t.after(() => session.destroy());
  return { socket, session };
}

/** What becomes of a control stream: "accepted", the code of the refusal, or "closed" by TLS. */
async function outcome(
  t: TestContext,
  cert: string,
  more: { key?: string; ciphers?: string } = {},
): Promise<string> {
  const { session, socket } = dial(t, cert, more);
  return await new Promise((resolve) => {
    socket.once("close", () => resolve("closed"));
    session.once("close", () => resolve("closed"));
    const stream = session.request({ ":method": "POST", ":path": "/tunnel/v1/control" }, {
      endStream: false,
    });
    let text = "";
    stream.on("error", () => {});
    stream.setEncoding("utf8").on("data", (part) => text += part);
    stream.once("response", (headers) => {
      if (headers[":status"] === 200) return resolve("accepted");
      stream.once("end", () => resolve(JSON.parse(text).code));
    });
  });
}

test("admission: a certificate of this authority, on record, opens a tunnel, its issuer shown along or not", async (t) => {
  const pem = await issue(await newConnector());
  assert.equal(await outcome(t, pem + issuing.pem), "accepted");
});

test("admission: only the leaf counts that TLS verified, whatever else is shown", async (t) => {
  const [id, other] = [await newConnector(), await newConnector()];
  const valid = await issue(id);
  const stranger = await createIssuing(await createRoot("stranger", Date.now()), "stranger", Date.now());
  const attacker = await issue(id, { authority: stranger, recordedFor: null });
  assert.equal(await outcome(t, attacker + valid + issuing.pem), "closed");
  assert.equal(await outcome(t, attacker + stranger.pem + valid + issuing.pem + root.pem), "closed");
  // One's own beside another's: it is one's own that is looked at.
  const own = await issue(other);
  const before = new Set(tunnels.all());
  assert.equal(await outcome(t, own + valid + issuing.pem), "accepted");
  const [opened, ...more] = [...tunnels.all()].filter((tunnel) => !before.has(tunnel));
  assert.deepEqual([opened!.connectorId, more.length], [other, 0]);
});

test("admission: expired, not yet valid, of another authority, for another purpose: closed by TLS", async (t) => {
  const id = await newConnector();
  const otherRoot = await createRoot("other", Date.now());
  const other = await createIssuing(otherRoot, "other", Date.now());
  const cases: Record<string, string> = {
    expired: await issue(id, { fromMs: -2 * MINUTE_MS, untilMs: -MINUTE_MS }) + issuing.pem,
    early: await issue(id, { fromMs: MINUTE_MS, untilMs: 2 * MINUTE_MS }) + issuing.pem,
    foreign: await issue(id, { authority: other }) + other.pem + otherRoot.pem,
    server: await issue(id, { purpose: "server" }) + issuing.pem,
    issuing: await issue(id, { purpose: "issuing" }) + issuing.pem,
    self: await issue(id, { authority: await createRoot("self", Date.now()) }),
  };
  for (const [name, cert] of Object.entries(cases)) assert.equal(await outcome(t, cert), "closed", name);
});

test("admission: RSA of 1024 bits and SHA-1 are refused, though the right authority had signed", async (t) => {
  const id = await newConnector();
  const small = rsaKey(1024);
  const weakKey = await weakCertificate(issuing, id, createPublicKey(small), "SHA-256");
  const weakHash = await weakCertificate(issuing, id, publicKeyOf(key), "SHA-1");
  const ciphers = "DEFAULT@SECLEVEL=0"; // The client itself would refuse to show them.
  assert.equal(await outcome(t, weakKey + issuing.pem, { key: small, ciphers }), "closed");
  assert.equal(await outcome(t, weakHash + issuing.pem, { ciphers }), "closed");
  for (const pem of [weakKey, weakHash]) {
    const [leaf] = readCertificates(pem);
    assert.throws(() => identityOf(leaf, [issuing.certificate], Date.now()), {
      code: "peer_certificate_weak",
    });
  }
});

test("admission: not on record, on another's record, revoked; of a disabled or deleted connector: refused by code", async (t) => {
  const [id, other] = [await newConnector(), await newConnector()];
  const shown = (pem: string) => outcome(t, pem + issuing.pem);
  assert.equal(await shown(await issue(id, { recordedFor: null })), "certificate_unknown");
  assert.equal(await shown(await issue(id, { recordedFor: other })), "certificate_unknown");
  const revoked = await issue(id);
  const good = await issue(id);
  await store.revokeCertificate(ADMIN, readCertificates(revoked)[0].serialNumber.toLowerCase(), "test");
  assert.equal(await shown(revoked), "certificate_revoked");
  assert.equal(await shown(good), "accepted");
  await store.updateConnector(ADMIN, id, { enabled: false });
  assert.equal(await shown(good), "connector_disabled");
  await store.deleteConnector(ADMIN, id);
  assert.equal(await shown(good), "connector_unknown");
});

test("admission: a tunnel ends when its certificate does", async (t) => {
  const id = await newConnector();
  // Longer where the machine stood still until it was over before it was shown.
  for (let untilMs = 2_500;; untilMs *= 2) {
    assert.ok(untilMs < 30_000, "the broker does not answer while a certificate is valid");
    const pem = await issue(id, { untilMs });
    const { notAfter } = validity(readCertificates(pem)[0]);
    const { session, socket } = dial(t, pem + issuing.pem);
    const ended = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    const stream = session.request({ ":method": "POST", ":path": "/tunnel/v1/control" }, {
      endStream: false,
    });
    stream.on("error", () => {});
    const status = await new Promise<unknown>((resolve) => {
      stream.once("response", (headers) => resolve(headers[":status"]));
      void ended.then(() => resolve("closed"));
    });
    if (status === "closed" && Date.now() >= notAfter) continue;
    assert.equal(status, 200);
    await ended;
    // Two clocks that count in whole milliseconds.
    assert.ok(Date.now() + 1 >= notAfter);
    return;
  }
});

test("admission: revoking a certificate ends its tunnels, and those of no other", async (t) => {
  const id = await newConnector();
  const [one, two] = [await issue(id), await issue(id)];
  const opened = async (pem: string) => {
    const { session } = dial(t, pem + issuing.pem);
    const stream = session.request({ ":method": "POST", ":path": "/tunnel/v1/control" }, {
      endStream: false,
    });
    stream.on("error", () => {});
    await once(stream, "response");
    return session;
  };
  const [first, second] = [await opened(one), await opened(two)];
  const closed = new Promise((resolve) => first.once("close", resolve));
  await store.revokeCertificate(ADMIN, readCertificates(one)[0].serialNumber.toLowerCase(), "test");
  await closed;
  await new Promise((resolve) => second.ping(resolve));
  assert.equal(second.destroyed, false);
});

test("admission: no session can be resumed past the checks", async (t) => {
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    const cert = await issue(await newConnector()) + issuing.pem;
    const connection = async (session?: Buffer) => {
      const socket = connectTls({
        host: "127.0.0.1",
        port,
        servername: TUNNEL_NAME,
        ca: root.pem,
        cert,
        key,
        ALPNProtocols: ["h2"],
        maxVersion,
        session,
      });
      const given: Buffer[] = [];
      socket.on("session", (one) => given.push(one));
      const http2 = connectHttp2(`https://${TUNNEL_NAME}`, { createConnection: () => socket });
      http2.on("error", () => {});
      t.after(() => http2.destroy());
      await once(http2, "remoteSettings");
      await new Promise((resolve) => http2.ping(resolve));
      return { given, isReused: socket.isSessionReused(), ticket: socket.getTLSTicket() };
    };
    const first = await connection();
    // With TLS 1.3 OpenSSL names sessions all the same; the server keeps none under those names.
    if (maxVersion === "TLSv1.2") assert.equal(first.ticket, undefined);
    for (const session of first.given) assert.equal((await connection(session)).isReused, false, maxVersion);
  }
});
