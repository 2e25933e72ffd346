import { SallyportError } from "../../platform/error.ts";
import type { ErrorOptions } from "../../platform/error.ts";
import type { BackendFailure } from "./port.ts";

/** Why an exchange with a backend failed: what `BackendFailure.code` may be. */
export const BACKEND_CODES = [
  "backend_not_allowed",
  "backend_dns_failed",
  "backend_refused",
  "backend_unreachable",
  "backend_connect_timeout",
  "backend_connect_failed",
  "backend_tls_untrusted",
  "backend_tls_name_mismatch",
  "backend_tls_expired",
  "backend_tls_failed",
  "backend_wrong_protocol",
  "backend_timeout",
  "backend_idle_timeout",
  "backend_reset",
  "backend_bad_response",
  "backend_head_too_large",
  "backend_bad_request",
  "backend_misconfigured",
  "backend_busy",
  "backend_closed",
  "connector_exhausted",
] as const;

/** One of `BACKEND_CODES`. */
export type BackendCode = (typeof BACKEND_CODES)[number];

/** A backend could not be reached, or did not behave. The message is for an administrator, never for a user. */
export class BackendError extends SallyportError<BackendCode> {
  /** What a handler is told. `begun` false: certainly no byte of the request reached the backend. */
  toFailure(begun: boolean): BackendFailure {
    return { code: this.code, message: this.message, begun };
  }
}

/** All connections to the backend were in use for so long that a request gave up waiting for one. */
export function noTurn(origin: string, waitMs: number): BackendError {
  return new BackendError("backend_busy", `Backend "${origin}" had no connection free within ${waitMs} ms`);
}

/** Codes of `AllowListError`. */
export const ALLOW_LIST_CODES = ["allow_list_invalid"] as const;

/** A pattern of the allow list that cannot be read: refuse to start, or backends would be open or shut by accident. */
export class AllowListError extends SallyportError<(typeof ALLOW_LIST_CODES)[number]> {
  constructor(pattern: string, reason: string, options?: ErrorOptions) {
    super("allow_list_invalid", `Cannot read allow list: pattern "${pattern}" ${reason}`, options);
  }
}
