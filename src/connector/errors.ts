import { SallyportError } from "../platform/error.ts";

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
  "tunnel_refused",
] as const;

/** No tunnel came about. `step` in the details says how far it got; a refusal by the broker carries the broker's code there. */
export class DialError extends SallyportError<typeof DIAL_CODES[number]> {}
