import { BackendError } from "./errors.ts";
import type { BackendCode } from "./errors.ts";
import { isExhaustion } from "./exhaustion.ts";

/** How far a connection had come when it failed. */
export type DialPhase = "dns" | "tcp" | "tls";

const TCP: Readonly<Record<string, BackendCode>> = {
  ECONNREFUSED: "backend_refused",
  EHOSTUNREACH: "backend_unreachable",
  ENETUNREACH: "backend_unreachable",
  EHOSTDOWN: "backend_unreachable",
  ENETDOWN: "backend_unreachable",
  EADDRNOTAVAIL: "backend_unreachable",
  ETIMEDOUT: "backend_connect_timeout",
};

const TLS: Readonly<Record<string, BackendCode>> = {
  ERR_TLS_CERT_ALTNAME_INVALID: "backend_tls_name_mismatch",
  ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: "backend_wrong_protocol",
  CERT_HAS_EXPIRED: "backend_tls_expired",
  CERT_NOT_YET_VALID: "backend_tls_expired",
  DEPTH_ZERO_SELF_SIGNED_CERT: "backend_tls_untrusted",
  SELF_SIGNED_CERT_IN_CHAIN: "backend_tls_untrusted",
  UNABLE_TO_GET_ISSUER_CERT: "backend_tls_untrusted",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "backend_tls_untrusted",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "backend_tls_untrusted",
  CERT_UNTRUSTED: "backend_tls_untrusted",
  CERT_REVOKED: "backend_tls_untrusted",
  CERT_SIGNATURE_FAILURE: "backend_tls_untrusted",
  INVALID_CA: "backend_tls_untrusted",
  INVALID_PURPOSE: "backend_tls_untrusted",
};

/** In which order the failures of several addresses of one name tell the most. */
const TELLING: readonly BackendCode[] = [
  "backend_refused",
  "backend_connect_timeout",
  "backend_unreachable",
  "backend_connect_failed",
];

const RETRYABLE: ReadonlySet<BackendCode> = new Set([
  "backend_dns_failed",
  "backend_refused",
  "backend_unreachable",
  "backend_connect_timeout",
  "backend_connect_failed",
  "connector_exhausted",
]);

/** Puts an error of the system's resolver, TCP or TLS while connecting to `target` into one of our codes. */
export function connectError(target: string, phase: DialPhase, cause: unknown): BackendError {
  if (cause instanceof BackendError) return cause;
  const code = codeOf(phase, cause);
  const reason = reasonOf(cause);
  const action = phase === "dns" ? "Cannot resolve backend" : "Cannot connect to backend";
  return new BackendError(code, `${action} "${target}": ${reason}`, {
    cause,
    retryable: RETRYABLE.has(code),
    details: { target, phase, systemCode: systemCode(cause) },
  });
}

function codeOf(phase: DialPhase, cause: unknown): BackendCode {
  if (isExhaustion(cause)) return "connector_exhausted";
  if (phase === "dns") return "backend_dns_failed";
  if (phase === "tls") return TLS[systemCode(cause)] ?? "backend_tls_failed";
  if (cause instanceof AggregateError) {
    const codes = cause.errors.map((error) => TCP[systemCode(error)] ?? "backend_connect_failed");
    return TELLING.find((code) => codes.includes(code)) ?? "backend_connect_failed";
  }
  return TCP[systemCode(cause)] ?? "backend_connect_failed";
}

/** Of OpenSSL's own messages, with their source lines, only what happened. */
function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error) || cause.message === "") return systemCode(cause);
  const [, said] = /:SSL routines:[^:]*:([^:]+):/.exec(cause.message) ?? [];
  if (said === undefined) return cause.message;
  return said === "wrong version number"
    ? "what answers there does not speak TLS (wrong version number)"
    : said;
}

function systemCode(cause: unknown): string {
  const code = (cause as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" ? code : "unknown";
}
