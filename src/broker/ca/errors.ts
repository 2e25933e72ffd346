import { type ErrorOptions, SallyportError } from "../../platform/error.ts";

/** Codes of `CaError`. */
export const CA_CODES = [
  "ca_missing",
  "ca_exists",
  "ca_unreadable",
  "ca_unwritable",
  "ca_invalid",
  "ca_expired",
  "ca_busy",
  "ca_root_key_offline",
  "ca_roll_over_refused",
  "ca_root_not_learned",
  "ca_sign_failed",
] as const;

/** One of `CA_CODES`. */
export type CaCode = (typeof CA_CODES)[number];

/** The broker's certificate authority cannot be used: the broker must not start. */
export class CaError extends SallyportError<CaCode> {
  constructor(code: CaCode, message: string, options: ErrorOptions = {}) {
    super(code, message, options);
  }
}

/** Codes of `CaKeyError`. */
export const CA_KEY_CODES = ["ca_key_missing", "ca_key_wrong", "ca_key_unreadable", "ca_key_weak"] as const;

/** The key that the authority's keys are encrypted with is missing or wrong: a matter of configuration. */
export class CaKeyError extends SallyportError<(typeof CA_KEY_CODES)[number]> {}

/** Codes of `PeerCertificateError`. */
export const PEER_CERTIFICATE_CODES = [
  "peer_certificate_purpose",
  "peer_certificate_weak",
  "peer_certificate_nameless",
  "peer_certificate_expired",
  "peer_certificate_foreign",
] as const;

/** One of `PEER_CERTIFICATE_CODES`. */
export type PeerCertificateCode = (typeof PEER_CERTIFICATE_CODES)[number];

/** A certificate that does not say which connector its holder is: the tunnel must be refused. */
export class PeerCertificateError extends SallyportError<PeerCertificateCode> {
  constructor(code: PeerCertificateCode, message: string, options: ErrorOptions = {}) {
    super(code, message, options);
  }
}

/** Codes of `RenewalRefusal`, beside `csr_invalid`. */
export const RENEWAL_REFUSAL_CODES = ["connector_disabled", "renewal_limited"] as const;

/** A connector gets no new certificate now. */
export class RenewalRefusal extends SallyportError<(typeof RENEWAL_REFUSAL_CODES)[number]> {}
