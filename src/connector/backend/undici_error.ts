import { BackendError } from "./errors.ts";
import { exchangeError, type ExchangeErrorCode } from "./exchange_error.ts";

const CODES: Readonly<Record<string, ExchangeErrorCode>> = {
  UND_ERR_HEADERS_TIMEOUT: "backend_timeout",
  UND_ERR_BODY_TIMEOUT: "backend_idle_timeout",
  UND_ERR_HEADERS_OVERFLOW: "backend_head_too_large",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: "backend_reset",
  UND_ERR_SOCKET: "backend_reset",
  UND_ERR_INVALID_ARG: "backend_bad_request",
  UND_ERR_NOT_SUPPORTED: "backend_bad_request",
  UND_ERR_REQ_CONTENT_LENGTH_MISMATCH: "backend_bad_request",
  UND_ERR_CLOSED: "backend_closed",
  UND_ERR_DESTROYED: "backend_closed",
  ECONNRESET: "backend_reset",
  EPIPE: "backend_reset",
  ECONNABORTED: "backend_reset",
  ETIMEDOUT: "backend_reset",
  EHOSTUNREACH: "backend_reset",
  ENETUNREACH: "backend_reset",
};

/** Puts what undici says of a running exchange into one of our codes; connecting has its own. */
export function undiciError(cause: Error, state: string): BackendError {
  if (cause instanceof BackendError) return cause;
  const system = (cause as { code?: unknown }).code;
  const code = isBadResponse(cause) ? "backend_bad_response" : CODES[String(system)] ?? "backend_reset";
  return exchangeError(code, cause, { state });
}

/** undici takes a `100 Continue` that it did not ask for (it never asks) as an error, and says no more than this. */
export function isUnaskedContinue(cause: Error): boolean {
  return cause.message === "bad response";
}

/** Bytes that are no response, a 101 that nobody asked for, or a 100 likewise. */
function isBadResponse(cause: Error): boolean {
  return cause.name === "HTTPParserError" || cause.message === "bad upgrade" || isUnaskedContinue(cause);
}
