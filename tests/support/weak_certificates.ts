import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { Crypto } from "@peculiar/webcrypto";
import * as x509 from "@peculiar/x509";
import { connectorUri } from "../../src/broker/ca/identity.ts";
import type { Authority } from "../../src/broker/ca/authority.ts";

const crypto = new Crypto();

/** An RSA key of so many bits, PKCS#8 PEM. */
export function rsaKey(bits: number): string {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: bits });
  return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}

/** A connector's certificate as no authority of ours would make it: any key, signed with any hash. PEM. */
export async function weakCertificate(
  issuing: Authority,
  connectorId: string,
  publicKey: KeyObject,
  hash: "SHA-1" | "SHA-256",
): Promise<string> {
  const pkcs8 = createPrivateKey(issuing.privateKey).export({ type: "pkcs8", format: "der" });
  const ec = { name: "ECDSA", namedCurve: "P-256" };
  const rsa = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  const spki = publicKey.export({ type: "spki", format: "der" });
  const isRsa = publicKey.asymmetricKeyType === "rsa";
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: "4100000000000000000000000000000a",
    subject: [{ CN: [connectorId] }],
    issuer: new x509.X509Certificate(issuing.certificate.raw).subjectName,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    publicKey: await crypto.subtle.importKey("spki", new Uint8Array(spki), isRsa ? rsa : ec, true, [
      "verify",
    ]),
    signingKey: await crypto.subtle.importKey("pkcs8", new Uint8Array(pkcs8), ec, false, ["sign"]),
    signingAlgorithm: { name: "ECDSA", hash },
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension([{ type: "url", value: connectorUri(connectorId) }]),
    ],
  }, crypto);
  return certificate.toString("pem") + "\n";
}
