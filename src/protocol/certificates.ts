import { refuse, text, texts } from "./fields.ts";
import { MAX_CERTIFICATES_CHARACTERS, MAX_CSR_CHARACTERS } from "./limits.ts";

/** Fields of the request `certificate.renew`. */
export interface RenewalRequest {
  /** PKCS#10 request for the new key, PEM; only its public key counts. */
  csr: string;
}

/** Answer to `certificate.renew`. */
export interface RenewalAnswer {
  /** Leaf and issuing certificates, PEM. */
  certificate: string;
}

/** Fields of the notice `trust`. */
export interface TrustNotice {
  /** All trust anchors of the broker from now on, PEM. */
  ca: string;
}

/** Fields of the notice `trust.taken`. */
export interface TrustTakenNotice {
  /** SHA-256 fingerprints of the trust anchors that are on the connector's disk now, in hexadecimal. */
  roots: string[];
}

/** Most trust anchors that a connector keeps. */
export const MAX_TRUST_ANCHORS = 16;

/** Reads the fields of `certificate.renew`. Throws `ProtocolError`, as the others here. */
export function parseRenewalRequest(value: Record<string, unknown>): RenewalRequest {
  return { csr: text(value, "csr", MAX_CSR_CHARACTERS) };
}

/** Reads the answer to `certificate.renew`. */
export function parseRenewalAnswer(value: Record<string, unknown>): RenewalAnswer {
  return { certificate: text(value, "certificate", MAX_CERTIFICATES_CHARACTERS) };
}

/** Reads the fields of the notice `trust`. */
export function parseTrustNotice(value: Record<string, unknown>): TrustNotice {
  return { ca: text(value, "ca", MAX_CERTIFICATES_CHARACTERS) };
}

/** Reads the fields of the notice `trust.taken`. */
export function parseTrustTakenNotice(value: Record<string, unknown>): TrustTakenNotice {
  const roots = texts(value, "roots");
  if (roots.length > MAX_TRUST_ANCHORS || !roots.every((root) => /^[0-9a-f]{64}$/.test(root))) {
    refuse("roots: not fingerprints of trust anchors");
  }
  return { roots };
}
