import { type ErrorOptions, SallyportError } from "../../platform/error.ts";

/** Codes with which a way through an outbound proxy fails. */
export const PROXY_CODES = [
  "proxy_misconfigured",
  "proxy_credentials_unreadable",
  "proxy_ca_unreadable",
  "proxy_unresolvable",
  "proxy_unreachable",
  "proxy_timeout",
  "proxy_lost",
  "proxy_untrusted",
  "proxy_tls_failed",
  "proxy_auth_required",
  "proxy_refused",
  "proxy_target_unreachable",
  "proxy_answer_invalid",
] as const;

/** One of `PROXY_CODES`. */
export type ProxyCode = (typeof PROXY_CODES)[number];

const PASSING: ReadonlySet<ProxyCode> = new Set([
  "proxy_unresolvable",
  "proxy_unreachable",
  "proxy_timeout",
  "proxy_lost",
  "proxy_target_unreachable",
]);

/** There is no way through an outbound proxy. `details.proxy` names it, `details.step` says how far it got. */
export class ProxyError extends SallyportError<ProxyCode> {
  constructor(code: ProxyCode, message: string, options: ErrorOptions = {}) {
    super(code, message, { ...options, retryable: PASSING.has(code) });
  }
}
