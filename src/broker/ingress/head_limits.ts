import type { IngressCode } from "./error_table.ts";

/** What a request head may be at most. */
export interface HeadLimits {
  /** Bytes of target, names and values. */
  readonly maxBytes: number;
  /** Header lines. */
  readonly maxHeaders: number;
}

/** What listeners read beyond the limits, so that a status can say what is too much; their parsers cannot, or only reset. */
export const READ_BEYOND: HeadLimits = { maxBytes: 32 * 1024, maxHeaders: 50 };

/** Why a request head cannot be served. `raw`: names and values in turn, of HTTP/2 with pseudo-headers, which are no header lines. */
export function headRefusal(
  limits: HeadLimits,
  target: string,
  raw: readonly string[],
): IngressCode | undefined {
  let bytes = 0;
  let lines = raw.length >> 1;
  for (let i = 0; i < raw.length; i++) bytes += raw[i]!.length;
  // `:path` is the target.
  if (raw.length > 0 && raw[0]!.charCodeAt(0) === 0x3a) {
    for (let i = 0; i < raw.length && raw[i]!.charCodeAt(0) === 0x3a; i += 2) lines--;
  } else bytes += target.length;
  if (bytes > limits.maxBytes) return target.length > bytes / 2 ? "uri_too_long" : "header_too_large";
  return lines > limits.maxHeaders ? "header_too_large" : undefined;
}
