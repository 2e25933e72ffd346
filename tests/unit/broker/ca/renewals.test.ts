import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { type Ca, openCa } from "../../../../src/broker/ca/ca.ts";
import { CertificateRate } from "../../../../src/broker/ca/certificate_rate.ts";
import { Renewals } from "../../../../src/broker/ca/renewals.ts";
import type { Store } from "../../../../src/broker/store/port.ts";
import { publicKeySha256, readCertificates } from "../../../../src/platform/certificate.ts";
import { silentLog } from "../../../../src/platform/log.ts";
import {
  createCertificateRequest,
  generatePrivateKey,
  readCertificateRequest,
} from "../../../../src/platform/x509.ts";

const ID = "c0ffee";

/** The store's part in renewals. */
function memory() {
  const issued: string[] = [];
  let enabled = true;
  let failing = false;
  const store = {
    getConnector: () => Promise.resolve({ id: ID, enabled }),
    connectorCertificate: () => Promise.resolve(issued.at(-1) ?? null),
    setConnectorCertificate: (_id: string, { pem }: { pem: string }) => {
      if (failing) return Promise.reject(new Error("disk full"));
      issued.push(pem);
      return Promise.resolve();
    },
  } as unknown as Store;
  return { store, issued, disable: () => enabled = false, fail: (value: boolean) => failing = value };
}

async function authority(t: TestContext): Promise<Ca> {
  const path = await mkdtemp(join(tmpdir(), "sallyport-ca-"));
  const ca = await openCa(path, { names: ["tunnel.test"], log: silentLog });
  t.after(async () => {
    await ca[Symbol.asyncDispose]();
    await rm(path, { recursive: true, force: true });
  });
  return ca;
}

const request = async (type: "p256" | "p384" | "rsa3072" = "p256", name = "evil name") =>
  await createCertificateRequest(await generatePrivateKey(type), name);

test("renewal: only the key of the request counts, of every kind; names and uses are the broker's", async (t) => {
  const ca = await authority(t);
  const { store, issued } = memory();
  const renewals = new Renewals({ store, ca, rate: new CertificateRate(20), log: silentLog });
  for (const type of ["p256", "p384", "rsa3072"] as const) {
    const csr = await request(type, "tunnel.test");
    const pem = await renewals.renew(ID, csr);
    const [leaf] = readCertificates(pem);
    assert.equal(publicKeySha256(leaf.publicKey), (await readCertificateRequest(csr)).sha256);
    assert.equal(leaf.subject, `CN=${ID}`);
    assert.equal(ca.identityOf(leaf).connectorId, ID);
    assert.equal(issued.at(-1), pem, "recorded");
  }
});

test("renewal: the same key again, at once or after the broker was started anew, gets the same certificate", async (t) => {
  const ca = await authority(t);
  const { store, issued } = memory();
  const parts = { store, ca, rate: new CertificateRate(20), log: silentLog };
  const renewals = new Renewals(parts);
  const key = await generatePrivateKey("p256");
  const csr = await createCertificateRequest(key, "host");
  const answers = await Promise.all(Array.from({ length: 8 }, () => renewals.renew(ID, csr)));
  assert.equal(new Set(answers).size, 1);
  const again = await new Renewals(parts).renew(ID, await createCertificateRequest(key, "host"));
  assert.equal(again, answers[0]);
  assert.equal(issued.length, 1);
});

test("renewal: a certificate that could not be recorded is never answered, nor counted", async (t) => {
  const ca = await authority(t);
  const { store, issued, fail } = memory();
  const renewals = new Renewals({ store, ca, rate: new CertificateRate(1), log: silentLog });
  const csr = await request();
  fail(true);
  await assert.rejects(renewals.renew(ID, csr), /disk full/);
  fail(false);
  const pem = await renewals.renew(ID, csr);
  assert.deepEqual(issued, [pem]);
});

test("renewal: bad requests, disabled connectors and too many certificates are refused", async (t) => {
  const ca = await authority(t);
  const { store, disable } = memory();
  let now = Date.now();
  const renewals = new Renewals({
    store,
    ca,
    rate: new CertificateRate(3, { now: () => now }),
    clock: { now: () => now },
    log: silentLog,
  });
  const csr = await request();
  const body = csr.split("\n");
  for (const bad of ["", "garbage", "x".repeat(20_000), [body[0], body[1], ...body.slice(3)].join("\n")]) {
    await assert.rejects(renewals.renew(ID, bad), { code: "csr_invalid" });
  }
  now += 24 * 3_600_000;
  for (let i = 0; i < 3; i++) await renewals.renew(ID, await request());
  now -= 24 * 3_600_000; // The clock is set right: what was had before counts no more.
  for (let i = 0; i < 3; i++) await renewals.renew(ID, await request());
  await assert.rejects(renewals.renew(ID, await request()), { code: "renewal_limited" });
  now += 3_600_001;
  await renewals.renew(ID, await request());
  disable();
  await assert.rejects(renewals.renew(ID, await request()), { code: "connector_disabled" });
});
