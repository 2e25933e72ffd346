import { createHash, createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { X509Error } from "./x509_errors.ts";

const CERTIFICATE_BLOCK = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

const PRIVATE_KEY_BLOCK = /-----BEGIN PRIVATE KEY-----[A-Za-z0-9+/=\s]+-----END PRIVATE KEY-----\n?/;

/** Reads every certificate of a PEM text, in order. Throws `certificate_invalid` when there is none or one is broken. */
export function readCertificates(pem: string): [X509Certificate, ...X509Certificate[]] {
  let certificates: X509Certificate[];
  try {
    certificates = (pem.match(CERTIFICATE_BLOCK) ?? []).map((block) => new X509Certificate(block));
  } catch (cause) {
    throw new X509Error("certificate_invalid", "Cannot read certificate: it is damaged", { cause });
  }
  const [first, ...others] = certificates;
  if (first === undefined) {
    throw new X509Error("certificate_invalid", "Cannot read certificate: no PEM block of that kind");
  }
  return [first, ...others];
}

/** Reads an unencrypted PKCS#8 private key from a PEM text that may hold more. Throws `key_invalid`. */
export function readPrivateKey(pem: string): KeyObject {
  try {
    // Deno's `createPrivateKey` wants the block alone.
    return createPrivateKey({ key: PRIVATE_KEY_BLOCK.exec(pem)?.[0] ?? "", format: "pem" });
  } catch (cause) {
    throw new X509Error("key_invalid", "Cannot read private key: it is damaged or of an unknown form", {
      cause,
    });
  }
}

/** The certificates of a PEM text that may hold more, in order; empty when there is none. */
export function certificateBlocks(pem: string): string {
  return (pem.match(CERTIFICATE_BLOCK) ?? []).map((block) => `${block}\n`).join("");
}

/** The private key of a PEM text that may hold more; empty when there is none. */
export function privateKeyBlock(pem: string): string {
  return PRIVATE_KEY_BLOCK.exec(pem)?.[0] ?? "";
}

/** SHA-256 of a certificate's DER, 64 lower-case hex digits. */
export function certificateFingerprint(certificate: X509Certificate): string {
  return createHash("sha256").update(certificate.raw).digest("hex");
}

/** SHA-256 of a public key (SPKI, DER), 64 lower-case hex digits. */
export function publicKeySha256(key: KeyObject): string {
  return createHash("sha256").update(spki(key)).digest("hex");
}

/** True when the certificate was issued for this private key. */
export function keyMatches(certificate: X509Certificate, privateKey: KeyObject): boolean {
  return spki(certificate.publicKey).equals(spki(createPublicKey(privateKey)));
}

/** When a certificate begins and ends to be valid, milliseconds since the epoch. */
export function validity(certificate: X509Certificate): { notBefore: number; notAfter: number } {
  return { notBefore: Date.parse(certificate.validFrom), notAfter: Date.parse(certificate.validTo) };
}

/** True when `issuer` signed `certificate` and may sign certificates at all; validity in time is not looked at. */
export function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function spki(key: KeyObject): Buffer {
  const publicKey = key.type === "public" ? key : createPublicKey(key);
  return publicKey.export({ type: "spki", format: "der" });
}
