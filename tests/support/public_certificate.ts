import { createPublicKey, X509Certificate } from "node:crypto";
import { createCertificate, generatePrivateKey } from "../../src/platform/x509.ts";

/** A certificate that a test's clients trust, and its key: PEM. */
export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
  /** What clients must trust. */
  readonly ca: string;
}

const DAY_MS = 86_400_000;

/** Makes a small authority and, signed by it, a server certificate for `dnsName` (which may be a wildcard). */
export async function publicCertificate(dnsName: string): Promise<TestCertificate> {
  const [rootKey, key] = await Promise.all([generatePrivateKey("p256"), generatePrivateKey("p256")]);
  const validity = { notBefore: new Date(Date.now() - DAY_MS), notAfter: new Date(Date.now() + DAY_MS) };
  const ca = await createCertificate({
    ...validity,
    purpose: "root",
    commonName: "Test root",
    publicKey: createPublicKey(rootKey),
    issuer: { privateKey: rootKey, certificate: null },
  });
  const cert = await createCertificate({
    ...validity,
    purpose: "server",
    commonName: "Test server",
    dnsName,
    publicKey: createPublicKey(key),
    issuer: { privateKey: rootKey, certificate: new X509Certificate(ca) },
  });
  return { cert, key, ca };
}
