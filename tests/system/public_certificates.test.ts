import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createSecureContext, type TLSSocket } from "node:tls";
import { createOnePort } from "../../src/broker/listener/one_port.ts";
import { createPublicTls } from "../../src/broker/listener/public_tls.ts";
import {
  type Certificates,
  type CertificatesOptions,
  createCertificates,
} from "../../src/broker/ingress/certificates.ts";
import { type Log, silentLog } from "../../src/platform/log.ts";
import { publicCertificate, type TestCertificate } from "../support/public_certificate.ts";
import { echoHandlers, handshake } from "../support/listener_client.ts";

let folder: string;
let first: TestCertificate;
let second: TestCertificate;
let wild: TestCertificate;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-certificates-"));
  [first, second, wild] = await Promise.all([
    publicCertificate("a.app.test"),
    publicCertificate("a.app.test"),
    publicCertificate("*.app.test"),
  ]);
});
after(() => rm(folder, { recursive: true }));

/** A pair of files in a folder of its own. */
async function filesOf(name: string, pair: TestCertificate, hosts: string[]) {
  const certFile = join(folder, name, "cert.pem");
  const keyFile = join(folder, name, "key.pem");
  await mkdir(join(folder, name), { recursive: true });
  await writeFile(certFile, pair.cert);
  await writeFile(keyFile, pair.key);
  return { hosts, certFile, keyFile };
}

/** Replaces a file as certbot and most others do: write beside, then rename. */
async function replace(file: string, content: string) {
  await writeFile(`${file}.new`, content);
  await rename(`${file}.new`, file);
}

/** A public TLS port with certificates from files. */
async function start(options: Partial<CertificatesOptions> & Pick<CertificatesOptions, "files">) {
  const certificates = await createCertificates({ log: silentLog, debounceMs: 10, ...options });
  const users = createPublicTls({ certificates, handlers: echoHandlers(), log: silentLog });
  const listener = createOnePort({
    address: "127.0.0.1",
    port: 0,
    log: silentLog,
    targetOf: ({ serverName }) => certificates.contextFor(serverName) === undefined ? undefined : users,
  });
  const { port } = await listener.listen();
  return {
    certificates,
    /** An open connection, whatever certificate it has got. */
    connect: (servername: string) => handshake({ port, servername, rejectUnauthorized: false }),
    async [Symbol.asyncDispose]() {
      certificates.close();
      await Promise.all([users.close(0), listener.close(0)]);
    },
  };
}

/** Which of the pairs a connection was given. */
function pairOf(socket: TLSSocket): TestCertificate | undefined {
  const { raw } = socket.getPeerCertificate();
  const text = raw.toString("base64");
  return [first, second, wild].find(({ cert }) => cert.replace(/\s/g, "").includes(text));
}

async function given(broker: { connect: (name: string) => Promise<TLSSocket> }, servername: string) {
  const socket = await broker.connect(servername);
  const pair = pairOf(socket);
  socket.destroy();
  return pair;
}

function replaced(certificates: Certificates): Promise<void> {
  return new Promise((resolve) => {
    const stop = certificates.onChange(() => {
      stop();
      resolve();
    });
  });
}

test("exact before wildcard before fallback; a name of one label more only", async () => {
  const files = [
    await filesOf("choice-wild", wild, ["*.app.test"]),
    await filesOf("choice-exact", first, ["A.app.test."]),
    await filesOf("choice-fallback", second, ["fallback.test"]),
  ];
  await using broker = await start({ files, fallbackHost: "fallback.test" });
  assert.equal(await given(broker, "a.app.test"), first);
  assert.equal(await given(broker, "A.APP.TEST"), first);
  assert.equal(await given(broker, "b.app.test"), wild);
  assert.equal(await given(broker, "x.b.app.test"), second);
  assert.equal(await given(broker, "app.test"), second);
  assert.equal(await given(broker, ""), second, "a client that names no server");
  const takeBack = broker.certificates.register("b.app.test", createSecureContext(first));
  assert.equal(await given(broker, "b.app.test"), first);
  takeBack();
  assert.equal(await given(broker, "b.app.test"), wild);
});

test("without a fallback other names are refused", async () => {
  await using broker = await start({ files: [await filesOf("refuse", first, ["a.app.test"])] });
  assert.equal(await given(broker, "a.app.test"), first);
  await assert.rejects(broker.connect("b.app.test"), { code: "ERR_SSL_TLSV1_UNRECOGNIZED_NAME" });
  await assert.rejects(broker.connect(""), { code: "ERR_SSL_TLSV1_UNRECOGNIZED_NAME" });
});

test("a renewed certificate serves the next connection, and open ones go on", async () => {
  const files = await filesOf("renew", first, ["a.app.test"]);
  await using broker = await start({ files: [files], fallbackHost: "a.app.test" });
  const open = await broker.connect("a.app.test");
  assert.equal(pairOf(open), first);
  const change = replaced(broker.certificates);
  await replace(files.certFile, second.cert);
  await replace(files.keyFile, second.key);
  await change;
  assert.equal(await given(broker, "a.app.test"), second);
  assert.equal(await given(broker, ""), second);
  open.write("GET /still HTTP/1.1\r\nHost: a.app.test\r\n\r\n");
  const [answer] = await once(open, "data");
  assert.match(String(answer), /1\.1 GET \/still/);
  open.destroy();
});

test("a swapped link is seen, in the folder (by its event) and above it (by looking)", async () => {
  for (const [name, pollMs] of [["link-inside", 60_000], ["link-above", 20]] as const) {
    await filesOf(`${name}/v1`, first, []);
    await filesOf(`${name}/v2`, second, []);
    const live = join(folder, name, "live");
    const above = name === "link-above";
    if (above) await symlink("v1", live);
    else {
      await mkdir(live);
      for (const file of ["cert.pem", "key.pem"]) await symlink(`data/${file}`, join(live, file));
      await symlink("../v1", join(live, "data"));
    }
    const link = above ? live : join(live, "data");
    const files = [{
      hosts: ["a.app.test"],
      certFile: join(live, "cert.pem"),
      keyFile: join(live, "key.pem"),
    }];
    await using broker = await start({ files, pollMs });
    assert.equal(await given(broker, "a.app.test"), first);
    const change = replaced(broker.certificates);
    await symlink(above ? "v2" : "../v2", `${link}.new`);
    await rename(`${link}.new`, link);
    await change;
    assert.equal(await given(broker, "a.app.test"), second, name);
  }
});

test("a broken new pair is logged and the one before goes on", async () => {
  const files = await filesOf("broken", first, ["a.app.test"]);
  const codes: unknown[] = [];
  const log: Log = { ...silentLog, error: (_message, fields) => codes.push(fields?.["code"]) };
  await using broker = await start({ files: [files], log, debounceMs: 60_000 });
  await replace(files.keyFile, second.key);
  await broker.certificates.reload();
  await replace(files.keyFile, "nonsense");
  await broker.certificates.reload();
  await rm(files.keyFile);
  await broker.certificates.reload();
  assert.deepEqual(codes, [
    "public_certificate_invalid",
    "public_certificate_invalid",
    "public_certificate_unreadable",
  ]);
  assert.equal(await given(broker, "a.app.test"), first);
  await writeFile(files.keyFile, second.key);
  await writeFile(files.certFile, second.cert);
  await broker.certificates.reload();
  assert.equal(await given(broker, "a.app.test"), second);
});

test("a pair that cannot be used at the start is an error with a code", async () => {
  const good = await filesOf("start-good", first, ["a.app.test"]);
  const mixed = await filesOf("start-mixed", { ...first, key: second.key }, ["a.app.test"]);
  const missing = { ...good, certFile: join(folder, "nowhere", "cert.pem") };
  const cases = [
    [mixed, "public_certificate_invalid"],
    [missing, "public_certificate_unreadable"],
    [{ ...good, certFile: good.keyFile }, "public_certificate_invalid"],
    [{ ...good, keyFile: good.certFile }, "public_certificate_invalid"],
    [{ ...good, hosts: ["a b"] }, "public_certificate_host_invalid"],
    [{ ...good, hosts: ["*.*.test"] }, "public_certificate_host_invalid"],
    [{ ...good, hosts: ["a.test:443"] }, "public_certificate_host_invalid"],
  ] as const;
  for (const [files, code] of cases) {
    await assert.rejects(createCertificates({ files: [files], log: silentLog }), { code });
  }
});

test("a pair that is for other hosts than it is configured for is said to be", async () => {
  const one = await filesOf("other-host", first, ["A.app.test", "b.app.test", "*.app.test"]);
  const all = await filesOf("any-host", wild, ["b.app.test", "*.app.test", "*.other.test", "app.test"]);
  const told: unknown[] = [];
  const log: Log = { ...silentLog, warn: (_message, fields) => told.push(fields?.host) };
  using _certificates = await createCertificates({ files: [one, all], log });
  assert.deepEqual(told, ["b.app.test", "*.app.test", "*.other.test", "app.test"]);
});
