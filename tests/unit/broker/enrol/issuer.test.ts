import assert from "node:assert/strict";
import { test } from "node:test";
import { CertificateRate } from "../../../../src/broker/ca/certificate_rate.ts";
import { CaError } from "../../../../src/broker/ca/errors.ts";
import { Issuer, readRequestedKey } from "../../../../src/broker/enrol/issuer.ts";
import { createCertificateRequest, generatePrivateKey } from "../../../../src/platform/x509.ts";

test("issuer: what the authority could not sign counts for no connector's hour", async () => {
  let isUp = false;
  const issueConnectorCertificate = () =>
    isUp
      ? Promise.resolve({ pem: "PEM" } as never)
      : Promise.reject(new CaError("ca_sign_failed", "It is away"));
  const issuer = new Issuer({
    store: {
      certificateForKey: () => Promise.resolve(null),
      setConnectorCertificate: () => Promise.resolve(),
    },
    ca: { issueConnectorCertificate },
    rate: new CertificateRate(2),
    clock: Date,
  });
  const csr = await createCertificateRequest(await generatePrivateKey("p256"), "x");
  const ask = async () => await issuer.certificate("c0ffee", await readRequestedKey(csr), "serial");
  for (let i = 0; i < 3; i++) await assert.rejects(ask(), { code: "ca_sign_failed" });
  isUp = true;
  for (let i = 0; i < 2; i++) assert.equal(await ask(), "PEM");
  await assert.rejects(ask(), { code: "renewal_limited" });
});
