import { isCount } from "./fields.ts";

/** Least and longest time, milliseconds, over which connectors spread their first dial after a loss. */
export const MIN_RECONNECT_WINDOW_MS = 250;
export const MAX_RECONNECT_WINDOW_MS = 15_000;

/**
 * Reads `reconnectWindowMs` of a welcome, `drain` or `reconnect.window`, milliseconds within its bounds. Undefined where it
 * is not said, as by older brokers, or is not a count.
 */
export function parseReconnectWindow({ reconnectWindowMs }: Record<string, unknown>): number | undefined {
  return isCount(reconnectWindowMs) ? bounded(reconnectWindowMs) : undefined;
}

/** The window for so many tunnels, milliseconds: a hundred come back in a second. */
export function reconnectWindowFor(tunnels: number): number {
  return bounded(tunnels * 10);
}

function bounded(ms: number): number {
  return Math.min(Math.max(ms, MIN_RECONNECT_WINDOW_MS), MAX_RECONNECT_WINDOW_MS);
}
