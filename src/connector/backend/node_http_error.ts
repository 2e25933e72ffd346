import { BackendError } from "./errors.ts";
import type { BackendCode } from "./errors.ts";

/** Puts what `node:http` says of a running exchange into one of our codes; connecting has its own. */
export function nodeHttpError(cause: Error, state: string): BackendError {
  if (cause instanceof BackendError) return cause;
  const [code, said] = reading((cause as { code?: unknown }).code);
  return new BackendError(code, `Backend ${said}: ${cause.message}`, { cause, details: { state } });
}

function reading(system: unknown): [BackendCode, string] {
  if (typeof system !== "string") {
    return ["backend_reset", "closed the connection before its response was complete"];
  }
  if (system === "HPE_HEADER_OVERFLOW") return ["backend_head_too_large", "sent a response head over 64 KiB"];
  // The end of the stream inside a body of known length is a cut, not a wrong byte.
  if (system === "HPE_INVALID_EOF_STATE") {
    return ["backend_reset", "closed the connection before its response was complete"];
  }
  if (system.startsWith("HPE_")) return ["backend_bad_response", "sent what is not an HTTP/1.1 response"];
  if (system.startsWith("ERR_HTTP_") || system.startsWith("ERR_INVALID_")) {
    return ["backend_bad_request", "cannot be sent this request"];
  }
  return ["backend_reset", "closed the connection before its response was complete"];
}
