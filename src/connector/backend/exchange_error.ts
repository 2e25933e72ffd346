import { BackendError } from "./errors.ts";
import type { BackendCode } from "./errors.ts";
import { MAX_RESPONSE_HEAD_BYTES } from "./head_limit.ts";

/** How an exchange fails that is on its way, whichever adapter carries it: said of the backend. */
const FAILURES = {
  backend_timeout: "gave no response head in time",
  backend_idle_timeout: "stopped in the middle of its response",
  backend_head_too_large: `sent a response head over ${MAX_RESPONSE_HEAD_BYTES / 1024} KiB`,
  backend_reset: "broke off before its response was complete",
  backend_bad_response: "sent what is no HTTP response",
  backend_bad_request: "cannot be sent this request",
  backend_busy: "refuses to take on the request",
  backend_wrong_protocol: "wants another protocol for this request",
  backend_closed: "has no connections any more: the connector is closing them",
} as const satisfies Partial<Record<BackendCode, string>>;

/** One of the codes of `exchangeError`. */
export type ExchangeErrorCode = keyof typeof FAILURES;

/** The error of a running exchange. `reason`: what its adapter's client said; `details`: how far it was. */
export function exchangeError(
  code: ExchangeErrorCode,
  reason?: unknown,
  details: Readonly<Record<string, unknown>> = {},
): BackendError {
  const failure = `Backend ${FAILURES[code]}`;
  if (reason === undefined) return new BackendError(code, failure, { details });
  if (!(reason instanceof Error)) return new BackendError(code, `${failure}: ${reason}`, { details });
  return new BackendError(code, `${failure}: ${reason.message}`, { cause: reason, details });
}
