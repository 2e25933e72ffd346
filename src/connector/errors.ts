import { SallyportError } from "../platform/error.ts";
import { PROXY_CODES } from "./outbound/errors.ts";

/** Codes with which dialling a tunnel fails. */
export const DIAL_CODES = [
  "broker_unresolvable",
  "broker_unreachable",
  "broker_timeout",
  "broker_untrusted",
  "broker_name_mismatch",
  "broker_no_http2",
  "broker_lost",
  "certificate_rejected",
  "tls_failed",
  "tls_intercepted",
  "tunnel_refused",
  ...PROXY_CODES,
] as const;

/** No tunnel came about. `step` in the details says how far it got; a refusal by the broker carries the broker's code there. */
export class DialError extends SallyportError<typeof DIAL_CODES[number]> {}
