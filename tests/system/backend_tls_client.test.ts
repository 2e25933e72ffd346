/** Backends that want to know who connects, or a newer TLS than others. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createServer, type TlsOptions, type TLSSocket } from "node:tls";
import { ClientCertificates } from "../../src/connector/backend/client_certificates.ts";
import type { Lookup } from "../../src/connector/backend/dial.ts";
import { TestAuthority } from "../support/backend_certificates.ts";
import { backendApp, completed, exchange, failure, testBackends } from "../support/backend_exchange.ts";
import { ingressStage } from "../support/ingress_stage.ts";
import { answerOk, listen } from "../support/raw_backend.ts";
import { Wire } from "../support/wire.ts";

const ADAPTERS: [string, string[]][] = [["undici", []], ["node:http", ["Keep-Alive", "x"]]];
const authority = await TestAuthority.create();
const server = await authority.server("wiki.test");
const client = await authority.client("connector-a");
const renewed = await authority.client("connector-b");

const lookup: Lookup = (_name, _options, callback) => callback(null, [{ address: "127.0.0.1", family: 4 }]);

let folder: string;
const path = (name: string) => join(folder, name);
const pair = () => ({ wiki: { certificate: path("wiki.pem"), key: path("wiki.key") } });

async function install({ key, cert }: { key: string; cert: string }): Promise<void> {
  await writeFile(path("wiki.pem"), cert);
  await writeFile(path("wiki.key"), key);
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-tls-client-"));
  await install(client);
});
after(() => rm(folder, { recursive: true, force: true }));

type Context = { after(fn: () => Promise<void>): void };

/** A TLS backend, and what it saw of those who connected: who, asking for which name, over which version. */
async function backendOf(t: Context, options: TlsOptions) {
  const sockets: Socket[] = [];
  const seen: unknown[][] = [];
  const tls = createServer({ ...server, ca: authority.ca, ...options }, (socket: TLSSocket) => {
    socket.on("error", () => {});
    seen.push([socket.getPeerCertificate().subject?.CN, socket.servername, socket.getProtocol()]);
    socket.on("data", () => void socket.end(answerOk("ok", "Connection: close\r\n")));
  });
  tls.on("tlsClientError", () => {});
  tls.on("connection", (socket: Socket) => sockets.push(socket));
  const port = await listen(t, tls, sockets);
  return { seen, port, origin: `https://wiki.test:${port}` };
}

const WANTS: TlsOptions = { requestCert: true, rejectUnauthorized: true };

for (const [name, extra] of ADAPTERS) {
  const request = { headers: ["Host", "user.example", ...extra] };
  const ask = (t: Context, origin: string, tls: object, pairs: object = pair()) => {
    const clientCertificates = new ClientCertificates(pairs as ReturnType<typeof pair>);
    const app = backendApp(origin, { tls: { ca: authority.ca, ...tls } });
    return exchange(testBackends(t, { lookup, clientCertificates }), app, request);
  };

  test(`${name}: a backend that wants a certificate gets the one that the app names`, async (t) => {
    const { origin, seen } = await backendOf(t, { ...WANTS, minVersion: "TLSv1.3" });
    const tls = { clientCertificate: "wiki", minVersion: "TLSv1.3" as const };
    assert.equal((await completed(ask(t, origin, tls))).body, "ok");
    assert.deepEqual(seen, [["connector-a", "wiki.test", "TLSv1.3"]]);
  });

  test(`${name}: a certificate that was renewed is shown from the next connection on`, async (t) => {
    const { origin, seen } = await backendOf(t, WANTS);
    const clientCertificates = new ClientCertificates(pair());
    const backends = testBackends(t, { lookup, clientCertificates });
    const app = backendApp(origin, { tls: { ca: authority.ca, clientCertificate: "wiki" } });
    try {
      await completed(exchange(backends, app, request));
      await install(renewed);
      await completed(exchange(backends, { ...app, id: "other" }, request));
    } finally {
      await install(client);
    }
    assert.deepEqual(seen.map(([who]) => who), ["connector-a", "connector-b"]);
  });

  test(`${name}: a backend that wants a certificate and gets none does not serve`, async (t) => {
    const { origin, seen } = await backendOf(t, WANTS);
    const failed = await failure(ask(t, origin, {}));
    assert.match(failed.code, /^backend_(tls_failed|reset)$/);
    assert.deepEqual(seen, []);
  });

  test(`${name}: a certificate that this host does not have, or cannot read, is misconfigured`, async (t) => {
    const { origin, seen } = await backendOf(t, WANTS);
    const unknown = await failure(ask(t, origin, { clientCertificate: "other" }));
    const prototype = await failure(ask(t, origin, { clientCertificate: "constructor" }));
    const broken = { wiki: { certificate: path("wiki.key"), key: path("wiki.key") } };
    const unreadable = await failure(ask(t, origin, { clientCertificate: "wiki" }, broken));
    for (const { code, begun } of [unknown, prototype, unreadable]) {
      assert.deepEqual([code, begun], ["backend_misconfigured", false]);
    }
    assert.deepEqual(seen, []);
    assert.throws(() => new ClientCertificates(broken).check(), { code: "backend_misconfigured" });
  });

  test(`${name}: a backend with an older TLS than the app allows is not asked`, async (t) => {
    const { origin, seen } = await backendOf(t, { maxVersion: "TLSv1.2" });
    assert.equal((await failure(ask(t, origin, { minVersion: "TLSv1.3" }))).code, "backend_tls_failed");
    assert.equal((await completed(ask(t, origin, { minVersion: "TLSv1.2" }))).body, "ok");
    assert.deepEqual(seen, [[undefined, "wiki.test", "TLSv1.2"]]);
  });
}

test("through broker and connector: own CA, name, least version and client certificate", async (t) => {
  const { seen, port } = await backendOf(t, { ...WANTS, minVersion: "TLSv1.3" });
  await using stage = await ingressStage({
    connector: ["--allow", "127.0.0.1:*", "--backend-client-certificates", JSON.stringify(pair())],
  });
  const backendTls = { ca: authority.ca, serverName: "wiki.test", minVersion: "TLSv1.3" };
  const publish = (name: string, tls: object) =>
    stage.publish(name, `http://${name}.example.test`, `https://127.0.0.1:${port}`, { backendTls: tls });
  await publish("good", { ...backendTls, clientCertificate: "wiki" });
  await publish("none", { ...backendTls, clientCertificate: "other" });
  const wire = await Wire.plain(stage.plainPort);
  const get = async (name: string) => {
    wire.send(`GET / HTTP/1.1\r\nHost: ${name}.example.test\r\n\r\n`);
    return (await wire.response()).status;
  };
  assert.equal(await get("good"), 200);
  assert.equal(await get("none"), 502);
  assert.deepEqual(seen, [["connector-a", "wiki.test", "TLSv1.3"]]);
  assert.equal(await stage.metric('sallyport_errors_total{code="backend_misconfigured"}'), 1);
  wire.close();
});
