import { text } from "./fields.ts";
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
