import { createPublicKey, type KeyObject, type X509Certificate } from "node:crypto";
import {
  isIssuedBy,
  keyMatches,
  readCertificates,
  readPrivateKey,
  validity,
} from "../../platform/certificate.ts";
import { createCertificate, generatePrivateKey, type KeyType } from "../../platform/x509.ts";
import { CaError } from "./errors.ts";

/** A key that may sign certificates, with the certificate that says so. */
export interface Authority {
  certificate: X509Certificate;
  /** The certificate, PEM. */
  pem: string;
  /** PKCS#8, PEM. A secret. */
  privateKey: string;
}

const DAY_MS = 86_400_000;
/**
 * Certificates begin a day and an hour in the past: a peer whose clock is behind accepts them at once, and a clock that is set
 * back by a day, here or there, makes none of them one of the future.
 */
export const CLOCK_TOLERANCE_MS = 25 * 3_600_000;
/** Lifetimes: the root 20 years; the issuing certificate 3 years, replaced when a year is left. */
const ROOT_MS = 20 * 365 * DAY_MS;
const ISSUING_MS = 3 * 365 * DAY_MS;
const ISSUING_RENEWAL_MS = 365 * DAY_MS;

/** Makes a root: its own issuer, valid for 20 years. `name` tells roots of several brokers apart. */
export async function createRoot(name: string, now: number, keyType: KeyType = "p256"): Promise<Authority> {
  const privateKey = await generatePrivateKey(keyType);
  const pem = await createCertificate({
    purpose: "root",
    commonName: `Sallyport root ${name}`,
    publicKey: publicKeyOf(privateKey),
    ...lifetime(now, ROOT_MS),
    issuer: { privateKey, certificate: null },
  });
  return { certificate: readCertificates(pem)[0], pem, privateKey };
}

/** Makes an issuing authority under a root, never outliving it. */
export async function createIssuing(root: Authority, name: string, now: number): Promise<Authority> {
  const privateKey = await generatePrivateKey("p256");
  const pem = await createCertificate({
    purpose: "issuing",
    commonName: `Sallyport issuing ${name}`,
    publicKey: publicKeyOf(privateKey),
    ...lifetime(now, Math.min(ISSUING_MS, validity(root.certificate).notAfter - now)),
    issuer: root,
  });
  return { certificate: readCertificates(pem)[0], pem, privateKey };
}

/** Joins key and certificate read from disk. Throws `ca_invalid` when they do not belong together or to `issuer`. */
export function readAuthority(
  what: string,
  certificates: string,
  privateKey: string,
  issuer?: X509Certificate,
): Authority {
  try {
    const [certificate] = readCertificates(certificates);
    const key = readPrivateKey(privateKey);
    if (!keyMatches(certificate, key)) {
      throw invalid(what, "key and certificate differ");
    }
    if (!isIssuedBy(certificate, issuer ?? certificate)) {
      throw invalid(what, issuer === undefined ? "it is not a root" : "it is not issued by this root");
    }
    const pem = certificate.toString();
    return { certificate, pem, privateKey: key.export({ type: "pkcs8", format: "pem" }).toString() };
  } catch (error) {
    if (error instanceof CaError) throw error;
    throw invalid(what, error instanceof Error ? error.message : String(error), error);
  }
}

/** True when an issuing certificate is to be replaced: less than a year left, unless the root ends as soon. */
export function isIssuingDue(issuing: Authority, root: Pick<Authority, "certificate">, now: number): boolean {
  const { notAfter } = validity(issuing.certificate);
  return notAfter - now < ISSUING_RENEWAL_MS && notAfter < validity(root.certificate).notAfter;
}

/** Validity from a little before now for `durationMs`, in whole seconds, which is all that certificates know. */
export function lifetime(now: number, durationMs: number): { notBefore: Date; notAfter: Date } {
  const second = (at: number) => new Date(Math.floor(at / 1_000) * 1_000);
  const tolerance = Math.min(CLOCK_TOLERANCE_MS, durationMs / 3); // Short lives are for tests.
  return { notBefore: second(now - tolerance), notAfter: second(now + durationMs) };
}

/** The public half of a private key, PEM. */
export function publicKeyOf(privateKey: string): KeyObject {
  return createPublicKey(readPrivateKey(privateKey));
}

function invalid(what: string, state: string, cause?: unknown): CaError {
  return new CaError("ca_invalid", `Cannot use ${what} of the certificate authority: ${state}`, { cause });
}
