import { closeSync, openSync } from "node:fs";
import { devNull } from "node:os";

/**
 * What the system says when this host has run out of something that every connection needs: descriptors of the process or of
 * the host, memory, buffers, local ports. `EBUSY` is what glibc's resolver says that could not open its files.
 */
const EXHAUSTED: ReadonlySet<unknown> = new Set([
  "EMFILE",
  "ENFILE",
  "ENOBUFS",
  "ENOMEM",
  "EAGAIN",
  "EBUSY",
  "EAI_MEMORY",
]);

/** Errors that wrap one another are looked through this deep. */
const MOST_DEPTH = 4;

/**
 * True when an error of connecting, or one that it wraps, tells of this host and not of the backend: another connector may
 * well reach it. One address of several that was not tried for this reason is enough.
 */
export function isExhaustion(cause: unknown, depth: number = MOST_DEPTH): boolean {
  if (!(cause instanceof Error) || depth === 0) return false;
  if (EXHAUSTED.has((cause as { code?: unknown }).code)) return true;
  if (cause instanceof AggregateError) return cause.errors.some((error) => isExhaustion(error, depth - 1));
  return isExhaustion(cause.cause, depth - 1);
}

/**
 * An error of the system's resolver, or why it could not do its work: without a descriptor it says that there is no such name,
 * or that it should be asked later.
 */
export function behindResolver(error: Error): Error {
  try {
    closeSync(openSync(devNull, "r"));
    return error;
  } catch (cause) {
    return isExhaustion(cause) ? new Error(error.message, { cause }) : error;
  }
}
