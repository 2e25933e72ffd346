import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { DialError } from "../../../../src/connector/errors.ts";
import { type Identity, loadIdentity } from "../../../../src/connector/identity/identity.ts";
import { RENEWAL_STEPS, renewIdentity } from "../../../../src/connector/identity/renewal.ts";
import { resumeRenewal } from "../../../../src/connector/identity/renewal_files.ts";
import { readPrivateKey } from "../../../../src/platform/certificate.ts";
import { readCertificateRequest } from "../../../../src/platform/x509.ts";
import { type IdentityFolder, identityFolder, NOW } from "../../../support/identity_folder.ts";

const DAY_MS = 86_400_000;
const FILES = ["broker.json", "ca.pem", "certificate.pem", "key.pem"];

const renew = (
  { state, identity, sign }: IdentityFolder,
  options: Partial<Parameters<typeof renewIdentity>[0]> = {},
) =>
  renewIdentity({
    stateDir: state,
    identity,
    ask: sign,
    prove: () => Promise.resolve(),
    untidy: (error) => {
      throw error;
    },
    now: () => NOW,
    ...options,
  });

test("renewal: steps come in order, and the new key is of the kind of the old one", async (t) => {
  for (const keyType of ["p256", "p384", "rsa3072"] as const) {
    const on = await identityFolder(t, keyType);
    const steps: string[] = [];
    const next = await renew(on, { onStep: (step) => void steps.push(step) });
    assert.deepEqual(steps, RENEWAL_STEPS);
    const kind = ({ key }: Identity) => {
      const { asymmetricKeyType, asymmetricKeyDetails } = readPrivateKey(key.reveal());
      return `${asymmetricKeyType} ${asymmetricKeyDetails?.namedCurve} ${asymmetricKeyDetails?.modulusLength}`;
    };
    assert.equal(kind(next), kind(on.identity));
    assert.notEqual(next.key.reveal(), on.identity.key.reveal());
    const loaded = await loadIdentity(on.state, { now: NOW });
    assert.equal(loaded.key.reveal(), next.key.reveal());
    assert.equal(loaded.certificate, next.certificate);
    assert.equal(await readFile(join(on.state, "certificate.pem"), "utf8"), next.certificate);
    assert.deepEqual((await readdir(on.state)).sort(), FILES);
  }
});

test("renewal: one that fails at any step leaves a whole identity, and the next one asks with the same key", async (t) => {
  for (const step of RENEWAL_STEPS.slice(0, RENEWAL_STEPS.indexOf("switched") + 1)) {
    const on = await identityFolder(t);
    const asked = new Set<string>();
    const ask = async (csr: string) => {
      asked.add((await readCertificateRequest(csr)).sha256);
      return await on.sign(csr);
    };
    const onStep = (reached: string) => {
      if (reached === step) throw new Error("cut");
    };
    await assert.rejects(renew(on, { ask, onStep }), /cut/);
    const cut = await loadIdentity(on.state, { now: NOW });
    const isSwitched = step === "switched";
    assert.equal(cut.certificate === on.identity.certificate, !isSwitched, step);
    const isBegun = await resumeRenewal(on.state, cut);
    assert.equal(isBegun, step !== "begun" && !isSwitched, step);
    if (isSwitched) {
      assert.deepEqual((await readdir(on.state)).sort(), FILES, "tidied up");
      continue;
    }
    const next = await renew({ ...on, identity: cut }, { ask });
    assert.equal(asked.size, 1, step);
    assert.equal((await loadIdentity(on.state, { now: NOW })).certificate, next.certificate);
  }
});

test("renewal: a certificate that the broker does not accept is forgotten, one that could not be tried is kept", async (t) => {
  const on = await identityFolder(t);
  const lost = new DialError("broker_lost", "lost", { retryable: true });
  await assert.rejects(renew(on, { prove: () => Promise.reject(lost) }), { code: "broker_lost" });
  assert.ok((await readdir(on.state)).includes("renewal.pem"));
  const refused = new DialError("certificate_rejected", "refused");
  await assert.rejects(renew(on, { prove: () => Promise.reject(refused) }), { code: "certificate_rejected" });
  assert.deepEqual((await readdir(on.state)).sort(), FILES);
  assert.equal((await loadIdentity(on.state, { now: NOW })).certificate, on.identity.certificate);
});

test("renewal: an answer for another key, another connector or from another authority is refused", async (t) => {
  const on = await identityFolder(t);
  const other = await identityFolder(t);
  const answers: ((csr: string) => Promise<string>)[] = [
    () => Promise.resolve(on.identity.certificate),
    (csr) => on.sign(csr, "another"),
    (csr) => other.sign(csr),
    () => Promise.resolve("garbage"),
  ];
  for (const ask of answers) {
    await assert.rejects(renew(on, { ask }), { code: "renewal_answer_invalid" });
    assert.equal((await loadIdentity(on.state, { now: NOW })).certificate, on.identity.certificate);
  }
});

test("renewal: cut before its switch and started again after the old certificate has ended, the new one is used", async (t) => {
  const on = await identityFolder(t);
  const prove = () => Promise.reject(new DialError("broker_lost", "lost", { retryable: true }));
  await assert.rejects(renew(on, { prove }));
  const later = NOW + 30 * DAY_MS;
  const loaded = await loadIdentity(on.state, { now: later });
  assert.equal(loaded.notAfter, NOW + 80 * DAY_MS);
  await renew({ ...on, identity: loaded }, { now: () => later });
  assert.equal((await loadIdentity(on.state, { now: later })).certificate, loaded.certificate);
  await assert.rejects(loadIdentity(on.state, { now: NOW + 81 * DAY_MS }), { code: "certificate_expired" });
});
