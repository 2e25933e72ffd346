import { SallyportError } from "../../platform/error.ts";

/** Codes with which the broker refuses a tunnel or ends it. */
export const TUNNEL_CODES = [
  "certificate_missing",
  "certificate_refused",
  "certificate_unknown",
  "certificate_revoked",
  "identity_shared",
  "connector_unknown",
  "connector_disabled",
  "tunnel_unknown",
  "tunnel_replaced",
  "tunnel_silent",
  "tunnel_flood",
  "too_many_lanes",
  "broker_stopping",
] as const;

/** A connector may not have a tunnel or a lane, or not any longer. */
export class TunnelError extends SallyportError<typeof TUNNEL_CODES[number]> {}
