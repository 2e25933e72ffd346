import { constants } from "node:http2";
import { BackendError } from "./errors.ts";
import { exchangeError, type ExchangeErrorCode } from "./exchange_error.ts";

/** Codes of RST_STREAM (RFC 9113 section 7) that say more than that the exchange is cut. */
const RESETS: Readonly<Record<number, ExchangeErrorCode>> = {
  [constants.NGHTTP2_PROTOCOL_ERROR]: "backend_bad_response",
  [constants.NGHTTP2_REFUSED_STREAM]: "backend_busy",
  [constants.NGHTTP2_HTTP_1_1_REQUIRED]: "backend_wrong_protocol",
};

/** Puts the end of a stream before its response was whole into one of our codes; `reset` is the code of its RST_STREAM. */
export function http2Error(cause: Error | null, reset: number, state: string): BackendError {
  if (cause instanceof BackendError) return cause;
  return exchangeError(RESETS[reset] ?? "backend_reset", cause ?? `RST_STREAM ${reset}`, { state, reset });
}

/** A backend that was reached, but does not speak HTTP/2. */
export function notHttp2(target: string, reason: string, cause?: Error): BackendError {
  return new BackendError(
    "backend_wrong_protocol",
    `Cannot speak HTTP/2 with backend "${target}": ${reason}`,
    cause === undefined ? {} : { cause },
  );
}
