import type { Abort } from "../../protocol/heads.ts";
import { INGRESS_CODES, type IngressCode } from "./error_table.ts";

/** What users are told for codes of the connector that say more than concerns them. */
const ANSWERS: ReadonlyMap<string, IngressCode> = new Map(Object.entries<IngressCode>({
  app_unknown: "no_connector",
  backend_busy: "overloaded",
  backend_connect_failed: "backend_unreachable",
  backend_connect_timeout: "backend_timeout",
  backend_dns_failed: "backend_unreachable",
  backend_head_too_large: "backend_bad_response",
  backend_idle_timeout: "backend_timeout",
  backend_misconfigured: "backend_unreachable",
  backend_bad_request: "bad_request",
  backend_reset: "backend_bad_response",
  backend_wrong_protocol: "backend_bad_response",
  backend_closed: "tunnel_lost",
  connector_exhausted: "overloaded",
  head_too_large: "backend_bad_response",
}));

const KNOWN: ReadonlySet<string> = new Set(INGRESS_CODES);

/** The code of the error page for whatever ended an exchange. */
export function answerTo(code: string): IngressCode {
  const answer = ANSWERS.get(code);
  if (answer !== undefined) return answer;
  if (KNOWN.has(code)) return code as IngressCode;
  return code.startsWith("backend_tls_") ? "backend_tls_failed" : "tunnel_lost";
}

/** Ways in which a connector cannot reach a backend, where another one may. */
const OUT_OF_REACH: ReadonlySet<string> = new Set([
  "app_unknown",
  "backend_not_allowed",
  "backend_dns_failed",
  "backend_refused",
  "backend_unreachable",
  "backend_connect_timeout",
  "backend_connect_failed",
  "backend_misconfigured",
]);

/**
 * True when the exchange ended because the connector could not reach the backend. That has not seen it then, unless the
 * connector had sent it before, on a connection that broke under it (`begun`).
 */
export function isOutOfReach({ code }: Abort): boolean {
  return OUT_OF_REACH.has(code) || code.startsWith("backend_tls_");
}

/** True when it ended because the connector's host has no descriptors, memory or ports left, whatever the app. */
export function isExhausted({ code }: Abort): boolean {
  return code === "connector_exhausted";
}

/** Ends of exchanges for which there is no page: the user has gone, or has been answered. */
const UNANSWERED: ReadonlySet<string> = new Set(["cancelled", "upgraded_idle"]);

/** What connectors of ours say of TLS to a backend, beside the code of the page. */
const TLS_CODES: ReadonlySet<string> = new Set([
  "backend_tls_untrusted",
  "backend_tls_name_mismatch",
  "backend_tls_expired",
]);

/** The code under which it is counted and logged: connectors can say what they like, ours are few. */
export function countedAs(code: string): string {
  if (ANSWERS.has(code) || KNOWN.has(code) || UNANSWERED.has(code) || TLS_CODES.has(code)) return code;
  return answerTo(code);
}
