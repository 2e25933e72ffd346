import { BackendError } from "./errors.ts";
import { exchangeError, type ExchangeErrorCode } from "./exchange_error.ts";

/** Puts what `node:http` says of a running exchange into one of our codes; connecting has its own. */
export function nodeHttpError(cause: Error, state: string): BackendError {
  if (cause instanceof BackendError) return cause;
  return exchangeError(codeOf((cause as { code?: unknown }).code), cause, { state });
}

function codeOf(system: unknown): ExchangeErrorCode {
  if (typeof system !== "string") return "backend_reset";
  if (system === "HPE_HEADER_OVERFLOW") return "backend_head_too_large";
  // The end of the stream inside a body of known length is a cut, not a wrong byte.
  if (system === "HPE_INVALID_EOF_STATE") return "backend_reset";
  if (system.startsWith("HPE_")) return "backend_bad_response";
  if (system.startsWith("ERR_HTTP_") || system.startsWith("ERR_INVALID_")) return "backend_bad_request";
  return "backend_reset";
}
