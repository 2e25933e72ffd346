import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import {
  type Identity,
  isRegistered,
  loadIdentity,
  saveIdentity,
} from "../../../../src/connector/identity/identity.ts";
import { pendingKey, removePendingKeys } from "../../../../src/connector/identity/pending_key.ts";
import { prepareStateFolder } from "../../../../src/connector/identity/state_folder.ts";
import { readPrivateKey } from "../../../../src/platform/certificate.ts";
import { Secret } from "../../../../src/platform/secret.ts";
import {
  createCertificate,
  createCertificateRequest,
  generatePrivateKey,
  readCertificateRequest,
} from "../../../../src/platform/x509.ts";

const NOW = Date.UTC(2030, 0, 1);
const END = NOW + 90 * 86_400_000;

async function folder(t: TestContext): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), "sallyport-identity-"));
  t.after(() => rm(parent, { recursive: true, force: true }));
  return join(parent, "state");
}

async function newIdentity(): Promise<Identity> {
  const key = await generatePrivateKey("p256");
  const { publicKey } = await readCertificateRequest(await createCertificateRequest(key, "host"));
  const certificate = await createCertificate({
    purpose: "client",
    commonName: "c0ffee",
    publicKey,
    notBefore: new Date(NOW),
    notAfter: new Date(END),
    issuer: { privateKey: key, certificate: null },
  });
  return {
    connectorId: "c0ffee",
    address: { host: "2001:db8::1", port: 443 },
    tunnelName: "tunnel.test",
    enrolName: "enrol.test",
    ca: certificate,
    certificate,
    key: new Secret(key),
    notAfter: END,
  };
}

async function saved(t: TestContext): Promise<{ state: string; identity: Identity }> {
  const state = await folder(t);
  await prepareStateFolder(state);
  const identity = await newIdentity();
  await saveIdentity(state, identity);
  return { state, identity };
}

test("state folder: an identity comes back as it was saved, files private where they must be", async (t) => {
  const { state, identity } = await saved(t);
  const loaded = await loadIdentity(state, { now: NOW });
  assert.deepEqual({ ...loaded, key: loaded.key.reveal() }, { ...identity, key: identity.key.reveal() });
  assert.deepEqual((await readdir(state)).sort(), ["broker.json", "ca.pem", "certificate.pem", "key.pem"]);
  assert.equal((await stat(join(state, "key.pem"))).mode & 0o777, 0o600);
  assert.equal((await stat(state)).mode & 0o777, 0o700);
  await saveIdentity(state, await newIdentity());
  assert.equal((await readdir(state)).length, 4);
});

test("state folder: dates of the certificate are looked at", async (t) => {
  const { state } = await saved(t);
  await assert.rejects(loadIdentity(state, { now: END }), { code: "certificate_expired" });
  await assert.rejects(loadIdentity(state, { now: NOW - 1 }), { code: "certificate_not_yet_valid" });
  assert.equal((await loadIdentity(state, { now: END, allowExpired: true })).notAfter, END);
});

test("state folder: what is missing or damaged has its code", async (t) => {
  await assert.rejects(loadIdentity(await folder(t)), { code: "state_not_registered" });
  const { state } = await saved(t);
  const load = () => loadIdentity(state, { now: NOW });
  for (
    const [name, content] of [
      ["broker.json", "{"],
      ["broker.json", "null"],
      ["broker.json", '{"brokerAddress":"x"}'],
      ["ca.pem", ""],
      ["certificate.pem", "garbage"],
      ["key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"],
    ] as const
  ) {
    const before = await readFile(join(state, name));
    await writeFile(join(state, name), content);
    await assert.rejects(load(), { code: "state_damaged" }, `${name}: ${content}`);
    await writeFile(join(state, name), before);
  }
  await load();
  await rm(join(state, "ca.pem"));
  await assert.rejects(load(), { code: "state_damaged" });
});

test("state folder: a key that is not the certificate's is noticed", async (t) => {
  const { state } = await saved(t);
  await writeFile(join(state, "key.pem"), await generatePrivateKey("p256"));
  await assert.rejects(loadIdentity(state, { now: NOW }), { code: "state_key_mismatch" });
});

test("state folder: a key that others can read, or a folder that others can write, is refused", async (t) => {
  const { state } = await saved(t);
  await chmod(join(state, "key.pem"), 0o640);
  await assert.rejects(loadIdentity(state, { now: NOW }), { code: "state_permissions" });
  await chmod(join(state, "key.pem"), 0o600);
  await chmod(state, 0o770);
  await assert.rejects(loadIdentity(state, { now: NOW }), { code: "state_permissions" });
  await assert.rejects(prepareStateFolder(state), { code: "state_permissions" });
  await chmod(state, 0o750);
  await loadIdentity(state, { now: NOW });
});

test("state folder: one that cannot be read or written has its code", async (t) => {
  const state = await folder(t);
  await mkdir(join(state, "broker.json"), { recursive: true });
  await assert.rejects(isRegistered(state), { code: "state_unreadable" });
  await assert.rejects(prepareStateFolder(join(state, "..", "missing", "\0")), /./);
  const file = join(state, "file");
  await writeFile(file, "");
  await assert.rejects(prepareStateFolder(file), { code: "state_unreadable" });
  await assert.rejects(saveIdentity(join(state, "absent"), await newIdentity()), {
    code: "state_unwritable",
  });
});

test("pending key: the same token gets the same key, another token another, with nothing left", async (t) => {
  const state = await folder(t);
  await prepareStateFolder(state);
  const first = await pendingKey(state, "secret one", "p256");
  assert.equal(await pendingKey(state, "secret one", "p256"), first);
  const [name] = await readdir(state);
  assert.equal((await stat(join(state, name!))).mode & 0o777, 0o600);
  await writeFile(join(state, name!), "damaged");
  assert.notEqual(await pendingKey(state, "secret one", "p256"), first);
  const other = await pendingKey(state, "secret two", "p384");
  assert.equal(readPrivateKey(other).asymmetricKeyType, "ec");
  assert.equal((await readdir(state)).length, 1);
  await removePendingKeys(state);
  assert.deepEqual(await readdir(state), []);
});
