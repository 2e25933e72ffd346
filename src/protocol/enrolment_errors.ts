/** Codes of enrolment messages and tokens that cannot be read. */
export const ENROLMENT_FORMAT_CODES = ["token_malformed", "enrolment_message_invalid"] as const;

/** One of {@linkcode ENROLMENT_FORMAT_CODES}. */
export type EnrolmentFormatCode = (typeof ENROLMENT_FORMAT_CODES)[number];

/**
 * Codes of refusals that tell people what to do: the connector shows them as its own. `source_limited` and
 * `enrolment_busy` come with `Retry-After`.
 */
export const ENROLMENT_REFUSAL_CODES = [
  "token_unknown",
  "token_expired",
  "token_used",
  "token_revoked",
  "token_wrong_machine",
  "token_wrong_network",
  "connector_unknown",
  "key_taken",
  "renewal_limited",
  "certificate_revoked",
  "certificate_unknown",
  "certificate_superseded",
  "nonce_invalid",
  "proof_invalid",
  "reenrolment_off",
  "reenrolment_late",
  "csr_invalid",
  "connector_disabled",
  "source_limited",
  "enrolment_busy",
] as const;

/** One of {@linkcode ENROLMENT_REFUSAL_CODES}. */
export type EnrolmentRefusalCode = (typeof ENROLMENT_REFUSAL_CODES)[number];

/** Codes that the broker's enrolment endpoint answers with, in the `code` member of a problem body (RFC 9457). */
export const ENROLMENT_ANSWER_CODES = [
  ...ENROLMENT_REFUSAL_CODES,
  "request_invalid",
  "request_too_large",
  "enrolment_failed",
] as const;

/** One of {@linkcode ENROLMENT_ANSWER_CODES}. */
export type EnrolmentAnswerCode = (typeof ENROLMENT_ANSWER_CODES)[number];

/**
 * A token or an enrolment message that is not what it should be. `details` names the part, never a secret.
 * Shaped like every error of the product (`code`, `retryable`, `details`); this layer imports nothing of it.
 */
export class EnrolmentFormatError extends Error {
  readonly code: EnrolmentFormatCode;
  readonly retryable = false;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: EnrolmentFormatCode, message: string, details: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.name = "EnrolmentFormatError";
    this.code = code;
    this.details = details;
  }
}
