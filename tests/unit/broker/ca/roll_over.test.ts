import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { publicKeyOf } from "../../../../src/broker/ca/authority.ts";
import { openCa } from "../../../../src/broker/ca/ca.ts";
import { CaFolder } from "../../../../src/broker/ca/ca_folder.ts";
import {
  beginRollOver,
  changing,
  dropRoot,
  finishRollOver,
  importRootKey,
} from "../../../../src/broker/ca/roll_over.ts";
import { exportRootKey, finishRollOverNow, openCaFiles } from "../../../../src/broker/cli/ca.ts";
import { lockStore } from "../../../../src/broker/store/store_lock.ts";
import {
  certificateFingerprint,
  isIssuedBy,
  keyMatches,
  readCertificates,
  readPrivateKey,
} from "../../../../src/platform/certificate.ts";
import { silentLog } from "../../../../src/platform/log.ts";
import { Secret } from "../../../../src/platform/secret.ts";
import { generatePrivateKey } from "../../../../src/platform/x509.ts";

const DAY_MS = 86_400_000;
const START = Date.UTC(2030, 0, 1);
const NAME = "tunnel.test";

async function temporary(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "sallyport-ca-"));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

const open = (path: string, now: () => number, key: Secret | null = null) =>
  openCa(path, { names: [NAME], log: silentLog, clock: { now }, key });
const newPublicKey = async () => publicKeyOf(await generatePrivateKey("p256"));
const rootOf = (pem: string) => certificateFingerprint(readCertificates(pem).at(-1)!);

test("roll-over: the next root is announced first, takes over later, and what the one before signed stays good", async (t) => {
  const path = await temporary(t);
  let now = START;
  await using ca = await open(path, () => now);
  const before = ca.caFingerprint;
  const issued = await ca.issueConnectorCertificate("c0ffee", await newPublicKey());
  const events: string[] = [];
  ca.onTrustAnchors(() => events.push("trust"));
  ca.onServerContext(() => events.push("context"));

  await changing(new CaFolder(path, null), () => beginRollOver(new CaFolder(path, null), now));
  await ca.tend();
  assert.deepEqual(events, ["trust"]);
  assert.equal(ca.caFingerprint, before);
  assert.equal(readCertificates(ca.trustAnchors).length, 2);
  assert.equal(rootOf(ca.serverContext(NAME).cert), before);

  now = START + 179 * DAY_MS;
  await ca.tend();
  assert.equal(ca.caFingerprint, before);
  now = START + 181 * DAY_MS;
  await ca.tend();
  const after = ca.caFingerprint;
  assert.notEqual(after, before);
  assert.equal(rootOf(ca.serverContext(NAME).cert), after);
  assert.deepEqual(readCertificates(ca.trustAnchors).map(certificateFingerprint), [after, before]);
  const renewed = await ca.issueConnectorCertificate("c0ffee", await newPublicKey());
  assert.equal(ca.identityOf(readCertificates(renewed.pem)[0]).connectorId, "c0ffee");
  now = START + DAY_MS;
  assert.equal(ca.identityOf(readCertificates(issued.pem)[0]).connectorId, "c0ffee");

  now = START + 182 * DAY_MS;
  const folder = new CaFolder(path, null);
  await assert.rejects(dropRoot(folder, after, now), { code: "ca_roll_over_refused" });
  await dropRoot(folder, before, now);
  await ca.tend();
  assert.equal(readCertificates(ca.trustAnchors).length, 1);
  now = START + DAY_MS;
  assert.throws(() => ca.identityOf(readCertificates(issued.pem)[0]), { code: "peer_certificate_foreign" });
});

test("roll-over: begins by itself two years before the root ends, and the chain is whole at any time", async (t) => {
  const path = await temporary(t);
  let now = START;
  await using ca = await open(path, () => now);
  const first = ca.caFingerprint;
  for (let day = 0; day < 20 * 365 + 200; day += 89) {
    now = START + day * DAY_MS;
    const known = readCertificates(ca.trustAnchors).map(certificateFingerprint);
    await ca.tend();
    const chain = readCertificates(ca.serverContext(NAME).cert);
    assert.ok(isIssuedBy(chain[0], chain[1]!) && isIssuedBy(chain[1]!, chain[2]!), `day ${day}`);
    assert.ok(Date.parse(chain[1]!.validTo) > now && Date.parse(chain[2]!.validTo) > now, `day ${day}`);
    assert.ok(known.includes(certificateFingerprint(chain[2]!)), `day ${day}: announced before it is used`);
  }
  assert.notEqual(ca.caFingerprint, first);
});

test("roll-over: cut short anywhere, the authority opens and works, and the step can be done again", async (t) => {
  const path = await temporary(t);
  await (await open(path, () => START))[Symbol.asyncDispose]();
  const files = ["root.key.pem", "root.pem", "issuing.pem", "next.pem", "next-root.key.pem"];
  const save = async () =>
    new Map(
      await Promise.all(
        files.map(async (name) =>
          [name, await readFile(join(path, "ca", name), "utf8").catch(() => null)] as const
        ),
      ),
    );
  const one = await save();
  await beginRollOver(new CaFolder(path, null), START);
  const two = await save();
  await finishRollOver(new CaFolder(path, null), START);
  const three = await save();
  /** What is on disk after so many of these files were written, in this order. */
  const cuts = [
    [one, two, ["next-root.key.pem", "next.pem", "root.pem"]],
    [two, three, ["issuing.pem", "next.pem", "root.key.pem", "next-root.key.pem"]],
  ] as const;
  for (const [from, to, order] of cuts) {
    for (let written = 0; written < order.length; written++) {
      const data = await temporary(t);
      await cp(join(path, "ca"), join(data, "ca"), { recursive: true });
      for (const name of files) {
        const content = (order.slice(0, written) as readonly string[]).includes(name)
          ? to.get(name)
          : from.get(name);
        if (content == null) await rm(join(data, "ca", name), { force: true });
        else await writeFile(join(data, "ca", name), content);
      }
      await using ca = await open(data, () => START);
      const { pem } = await ca.issueConnectorCertificate("c0ffee", await newPublicKey());
      assert.equal(ca.identityOf(readCertificates(pem)[0]).connectorId, "c0ffee");
      const folder = new CaFolder(data, null);
      const { next, isUntidy } = await folder.read(START);
      assert.ok(!isUntidy);
      if (next === null) await beginRollOver(folder, START);
      await finishRollOver(folder, START);
      assert.equal((await folder.read(START)).next, null);
    }
  }
});

test("roll-over: cut short after its switch, neither the next one nor an export mistakes the key of the root in use", async (t) => {
  const path = await temporary(t);
  await (await open(path, () => START))[Symbol.asyncDispose]();
  const folder = new CaFolder(path, null);
  await beginRollOver(folder, START);
  const left = ["root.key.pem", "next.pem", "next-root.key.pem"].map((name) => join(path, "ca", name));
  const before = await Promise.all(left.map((file) => readFile(file)));
  await finishRollOver(folder, START);
  const cut = () => Promise.all(left.map((file, at) => writeFile(file, before[at]!)));

  await cut();
  const exported = join(path, "exported.pem");
  await exportRootKey(await openCaFiles(path, "", {}), exported, true);
  const { root, rootKey } = await folder.read(START);
  assert.equal(rootKey, null);
  assert.ok(keyMatches(root, readPrivateKey(await readFile(exported, "utf8"))));

  await cut();
  await beginRollOver(folder, START);
  assert.notEqual((await folder.read(START)).next, null);
  await finishRollOver(folder, START);
});

test("root key: kept offline the authority goes on, and renews its issuing certificate once it is back", async (t) => {
  const path = await temporary(t);
  let now = START;
  await using ca = await open(path, () => now);
  const folder = new CaFolder(path, null);
  const key = await readFile(join(path, "ca", "root.key.pem"), "utf8");
  await folder.removeRootKey();
  now = START + 2.5 * 365 * DAY_MS;
  await ca.tend();
  const issuing = (await folder.read(now)).issuing.pem;
  assert.equal((await folder.read(now)).rootKey, null);
  await assert.rejects(importRootKey(folder, await generatePrivateKey("p256"), now), { code: "ca_invalid" });
  await importRootKey(folder, key, now);
  await ca.tend();
  assert.notEqual((await folder.read(now)).issuing.pem, issuing);
});

test("keys at rest: plain ones of before are encrypted once there is a key; then no other opens them", async (t) => {
  const path = await temporary(t);
  const plain = await open(path, () => START);
  const { caFingerprint } = plain;
  await plain[Symbol.asyncDispose]();
  const key = new Secret("a key of sufficient length");
  await using ca = await open(path, () => START, key);
  assert.equal(ca.caFingerprint, caFingerprint);
  for (const name of ["root.key.pem", "issuing.pem"]) {
    assert.doesNotMatch(await readFile(join(path, "ca", name), "utf8"), /PRIVATE KEY/);
  }
  await assert.rejects(open(path, () => START), { code: "ca_key_missing" });
  await assert.rejects(open(path, () => START, new Secret("some other key, also long")), {
    code: "ca_key_wrong",
  });
  await beginRollOver(new CaFolder(path, key), START);
  assert.doesNotMatch(await readFile(join(path, "ca", "next-root.key.pem"), "utf8"), /PRIVATE KEY/);
  assert.doesNotMatch(await readFile(join(path, "ca", "next.pem"), "utf8"), /PRIVATE KEY/);
});

test("roll-over: what is looked at before it is finished is looked at while nobody else changes it", async (t) => {
  const path = await temporary(t);
  await using _ca = await openCa(path, { names: [NAME], log: silentLog });
  const files = await openCaFiles(path, "", {});
  const read = files.folder.read.bind(files.folder);
  let code = "";
  files.folder.read = async (now) => {
    const found = await read(now);
    if (code !== "") return found;
    // Another process: what it begins, nobody has looked at.
    try {
      using _lock = lockStore(join(path, "ca", "change"), "exclusive");
      code = "begun";
      await beginRollOver(new CaFolder(path, null), Date.now());
    } catch (error) {
      code = (error as { code: string }).code;
    }
    return found;
  };
  await assert.rejects(finishRollOverNow(files, false), { code: "ca_roll_over_refused" });
  assert.equal(code, "store_in_use");
});
