import type { App } from "../model.ts";

/** What bounds the exchanges of an app; 0 is no limit. */
export interface AppLimits {
  readonly maxRequestBytes: number;
  /** For a whole exchange that is not upgraded. */
  readonly totalMs: number;
  readonly maxConcurrent: number;
  readonly maxQueued: number;
  /** Longest wait for a turn where `maxConcurrent` are being served. */
  readonly queueMs: number;
}

/** The limits of an app; null where it has none, so that its exchanges need not look. */
export function limitsOf({ maxRequestBytes, maxConcurrent, maxQueued, timeouts }: App): AppLimits | null {
  const { totalMs, responseHeadMs } = timeouts;
  if (maxRequestBytes === 0 && totalMs === 0 && maxConcurrent === 0) return null;
  return { maxRequestBytes, totalMs, maxConcurrent, maxQueued, queueMs: responseHeadMs };
}

/** How long a request says that its body is; 0 where it does not say. */
export function declaredLength(headers: readonly string[]): number {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i]!.toLowerCase() === "content-length") return Number(headers[i + 1]);
  }
  return 0;
}
