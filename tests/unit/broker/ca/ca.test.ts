import assert from "node:assert/strict";
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { publicKeyOf } from "../../../../src/broker/ca/authority.ts";
import { CONNECTOR_CERTIFICATE_MS, openCa } from "../../../../src/broker/ca/ca.ts";
import {
  certificateFingerprint,
  isIssuedBy,
  readCertificates,
  validity,
} from "../../../../src/platform/certificate.ts";
import { silentLog } from "../../../../src/platform/log.ts";
import { createCertificate, generatePrivateKey } from "../../../../src/platform/x509.ts";

const NAMES = ["tunnel.test", "enrol.test"];
const DAY_MS = 86_400_000;
const START = Date.UTC(2030, 0, 1);

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "sallyport-ca-"));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

const open = (path: string, now = () => START) =>
  openCa(path, { names: NAMES, log: silentLog, clock: { now } });
const newPublicKey = async () => publicKeyOf(await generatePrivateKey("p256"));

test("certificate authority: made once, private, and the same after a restart", async (t) => {
  const path = await folder(t);
  await using first = await open(path);
  assert.deepEqual(await readdir(path), ["ca"]);
  assert.deepEqual((await readdir(join(path, "ca"))).sort(), ["issuing.pem", "root.key.pem", "root.pem"]);
  assert.equal((await stat(join(path, "ca"))).mode & 0o777, 0o700);
  for (const name of await readdir(join(path, "ca"))) {
    assert.equal((await stat(join(path, "ca", name))).mode & 0o777, 0o600, name);
  }
  await using second = await open(path);
  assert.equal(second.caFingerprint, first.caFingerprint);
  assert.equal(certificateFingerprint(readCertificates(first.trustAnchors)[0]), first.caFingerprint);
});

test("certificate authority: several opening at once at first start agree on one root", async (t) => {
  const path = await folder(t);
  const outcomes = await Promise.allSettled(Array.from({ length: 4 }, () => open(path)));
  const opened = outcomes.filter((outcome) => outcome.status === "fulfilled").map(({ value }) => value);
  for (const ca of opened) await ca[Symbol.asyncDispose]();
  assert.equal(new Set(opened.map((ca) => ca.caFingerprint)).size, 1);
  await using again = await open(path);
  assert.equal(again.caFingerprint, opened[0]?.caFingerprint);
  assert.deepEqual(await readdir(path), ["ca"]);
});

test("certificate authority: a damaged or incomplete folder is an error, never made anew", async (t) => {
  const path = await folder(t);
  await (await open(path))[Symbol.asyncDispose]();
  const key = await readFile(join(path, "ca", "root.key.pem"));
  await rm(join(path, "ca", "root.key.pem"));
  await assert.rejects(open(path), { code: "ca_unreadable" });
  await writeFile(join(path, "ca", "root.key.pem"), await generatePrivateKey("p256"));
  await assert.rejects(open(path), { code: "ca_invalid" });
  await writeFile(join(path, "ca", "root.key.pem"), key);
  await writeFile(join(path, "ca", "issuing.pem"), "garbage");
  await assert.rejects(open(path), { code: "ca_invalid" });
});

test("certificate authority: a data folder that cannot be written is an error", async (t) => {
  const path = await folder(t);
  await writeFile(join(path, "file"), "");
  await assert.rejects(open(join(path, "file")), { code: /^ca_un(readable|writable)$/ });
  if (process.getuid?.() === 0) return;
  await chmod(path, 0o500);
  try {
    await assert.rejects(open(path), { code: "ca_unwritable" });
  } finally {
    await chmod(path, 0o700); // It is to be removed.
  }
});

test("certificate authority: its server certificates name the broker and end in its root", async (t) => {
  await using ca = await open(await folder(t));
  const chain = readCertificates(ca.serverContext("ENROL.test").cert);
  assert.equal(chain.length, 3);
  assert.equal(chain[0].subjectAltName, "DNS:enrol.test");
  assert.ok(isIssuedBy(chain[0], chain[1]!) && isIssuedBy(chain[1]!, chain[2]!));
  assert.equal(certificateFingerprint(chain[2]!), ca.caFingerprint);
  assert.throws(() => ca.serverContext("other.test"), { code: "ca_invalid" });
});

test("certificate authority: server certificates are replaced after two thirds of their life, and told", async (t) => {
  let now = START;
  await using ca = await open(await folder(t), () => now);
  const told: string[] = [];
  const stop = ca.onServerContext(({ name }) => told.push(name));
  const before = ca.serverContext("tunnel.test");
  now = START + 59 * DAY_MS;
  await ca.tend();
  assert.deepEqual(told, []);
  now = START + 61 * DAY_MS;
  await ca.tend();
  assert.deepEqual(told, NAMES);
  assert.equal(ca.serverContext("tunnel.test").notAfter, before.notAfter + 61 * DAY_MS);
  stop();
  now = START + 200 * DAY_MS;
  await ca.tend();
  assert.deepEqual(told, NAMES);
});

test("certificate authority: a connector's certificate says who it is for 90 days", async (t) => {
  let now = START;
  await using ca = await open(await folder(t), () => now);
  const issued = await ca.issueConnectorCertificate("c0ffee", await newPublicKey());
  const [leaf] = readCertificates(issued.pem);
  assert.equal(leaf.subjectAltName, "URI:sallyport:connector:c0ffee");
  assert.deepEqual(ca.identityOf(leaf), {
    connectorId: "c0ffee",
    serial: issued.serial,
    notAfter: START + CONNECTOR_CERTIFICATE_MS,
  });
  now = issued.notAfter;
  assert.throws(() => ca.identityOf(leaf), { code: "peer_certificate_expired" });
  now = START - DAY_MS;
  assert.equal(ca.identityOf(leaf).connectorId, "c0ffee", "a clock that was set back by a day");
  now = START - 2 * DAY_MS;
  assert.throws(() => ca.identityOf(leaf), { code: "peer_certificate_expired" });
});

test("certificate authority: certificates that name no connector of its own are refused", async (t) => {
  const path = await folder(t);
  await using ca = await open(path);
  await using other = await open(await folder(t));
  const foreign = await other.issueConnectorCertificate("c0ffee", await newPublicKey());
  assert.throws(() => ca.identityOf(readCertificates(foreign.pem)[0]), { code: "peer_certificate_foreign" });
  assert.throws(() => ca.identityOf(readCertificates(ca.serverContext("enrol.test").cert)[0]), {
    code: "peer_certificate_purpose",
  });

  const bundle = await readFile(join(path, "ca", "issuing.pem"), "utf8");
  const issuer = {
    privateKey: bundle.slice(0, bundle.indexOf("-----BEGIN CERT")),
    certificate: readCertificates(bundle)[0],
  };
  const { notBefore, notAfter } = validity(issuer.certificate);
  const sign = async (names: { uri?: string; dnsName?: string }) =>
    readCertificates(
      await createCertificate({
        purpose: "client",
        commonName: "c0ffee",
        publicKey: await newPublicKey(),
        notBefore: new Date(notBefore),
        notAfter: new Date(notAfter),
        issuer,
        ...names,
      }),
    )[0];
  assert.equal(ca.identityOf(await sign({ uri: "sallyport:connector:c0ffee" })).connectorId, "c0ffee");
  for (
    const names of [
      {},
      { uri: "sallyport:connector:" },
      { uri: "https://sallyport:connector:a" },
      { uri: "sallyport:connector:a, URI:sallyport:connector:b" },
      { uri: "sallyport:connector:c0ffee", dnsName: "c0ffee" },
    ]
  ) {
    const leaf = await sign(names);
    assert.throws(() => ca.identityOf(leaf), { code: "peer_certificate_nameless" }, JSON.stringify(names));
  }
});

test("certificate authority: the issuing certificate is replaced in time and what it signed stays good", async (t) => {
  const path = await folder(t);
  let now = START;
  const before = await open(path, () => now);
  now = START + (2 * 365 - 30) * DAY_MS;
  const issued = await before.issueConnectorCertificate("c0ffee", await newPublicKey());
  await before[Symbol.asyncDispose]();
  now += 60 * DAY_MS;
  await using after = await open(path, () => now);
  const next = await after.issueConnectorCertificate("c0ffee", await newPublicKey());
  assert.notEqual(readCertificates(next.pem)[1]?.serialNumber, readCertificates(issued.pem)[1]?.serialNumber);
  assert.equal(after.caFingerprint, before.caFingerprint);
  assert.equal(after.identityOf(readCertificates(issued.pem)[0]).connectorId, "c0ffee");
  await using again = await open(path, () => now);
  assert.equal(again.identityOf(readCertificates(issued.pem)[0]).connectorId, "c0ffee");
});
