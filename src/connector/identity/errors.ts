import { type ErrorOptions, SallyportError } from "../../platform/error.ts";
import { ENROLMENT_REFUSAL_CODES } from "../../protocol/enrolment_errors.ts";
import { PROXY_CODES } from "../outbound/errors.ts";

/** Codes of `StateError`. */
export const STATE_CODES = [
  "state_not_registered",
  "state_unreadable",
  "state_unwritable",
  "state_permissions",
  "state_damaged",
  "state_key_mismatch",
  "state_in_use",
  "certificate_expired",
  "certificate_not_yet_valid",
] as const;

/** One of `STATE_CODES`. */
export type StateCode = (typeof STATE_CODES)[number];

/** The connector's state folder, or the identity in it, cannot be used. */
export class StateError extends SallyportError<StateCode> {
  constructor(code: StateCode, message: string, options: ErrorOptions = {}) {
    super(code, message, options);
  }
}

/** Codes of `RegistrationError`, beside those of `parseEnrolmentToken` and `StateError`. */
export const REGISTRATION_CODES = [
  "already_registered",
  "broker_unresolvable",
  "broker_unreachable",
  "broker_timeout",
  "broker_lost",
  "broker_untrusted",
  "broker_name_mismatch",
  "ca_fingerprint_mismatch",
  "tls_intercepted",
  "clock_wrong",
  "tls_failed",
  ...ENROLMENT_REFUSAL_CODES,
  "enrolment_refused",
  "enrolment_answer_invalid",
  "registration_aborted",
  ...PROXY_CODES,
] as const;

/** One of `REGISTRATION_CODES`. */
type RegistrationCode = (typeof REGISTRATION_CODES)[number];

/** A connector could not be registered. `details.step` says how far it came: `connect`, `tls`, `answer`. */
export class RegistrationError extends SallyportError<RegistrationCode> {
  constructor(code: RegistrationCode, message: string, options: ErrorOptions = {}) {
    super(code, message, options);
  }
}

/** Codes of `RenewalError`. */
export const RENEWAL_CODES = ["renewal_answer_invalid", "renewal_no_tunnel", "trust_refused"] as const;

/** A certificate could not be renewed, or trust anchors not be taken over; what was in use stays so. */
export class RenewalError extends SallyportError<(typeof RENEWAL_CODES)[number]> {}
