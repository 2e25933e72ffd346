import { INGRESS_CODES, type IngressCode } from "./error_table.ts";

/** What users are told for codes of the connector that say more than concerns them. */
const ANSWERS: Readonly<Record<string, IngressCode>> = {
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
  backend_closed: "tunnel_lost",
  head_too_large: "backend_bad_response",
};

const KNOWN: ReadonlySet<string> = new Set(INGRESS_CODES);

/** The code of the error page for whatever ended an exchange. */
export function answerTo(code: string): IngressCode {
  const answer = ANSWERS[code];
  if (answer !== undefined) return answer;
  if (KNOWN.has(code)) return code as IngressCode;
  return code.startsWith("backend_tls_") ? "backend_tls_failed" : "tunnel_lost";
}
