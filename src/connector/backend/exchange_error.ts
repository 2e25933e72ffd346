import { BackendError } from "./errors.ts";
import { MAX_RESPONSE_HEAD_BYTES } from "./head_limit.ts";

/** What goes wrong with a backend in a running exchange. */
const WRONGS = {
  backend_timeout: "gave no response head in time",
  backend_idle_timeout: "stopped in the middle of its response",
  backend_head_too_large: `sent a response head over ${MAX_RESPONSE_HEAD_BYTES / 1024} KiB`,
  backend_reset: "closed the connection before its response was complete",
  backend_bad_response: "sent what is not an HTTP/1.1 response",
  backend_bad_request: "cannot be sent this request",
  backend_closed: "has no connections any more",
} as const;

/** One of the codes of `exchangeError`. */
export type ExchangeErrorCode = keyof typeof WRONGS;

/** A running exchange went wrong, in the words of all adapters; `from`: what the adapter's client said, and how far it was. */
export function exchangeError(
  code: ExchangeErrorCode,
  from?: { cause: Error; state: string },
): BackendError {
  const wrong = `Backend ${WRONGS[code]}`;
  if (from === undefined) return new BackendError(code, wrong);
  const { cause, state } = from;
  return new BackendError(code, `${wrong}: ${cause.message}`, { cause, details: { state } });
}
