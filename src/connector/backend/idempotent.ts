import type { BackendRequest } from "./port.ts";

/** Methods for which two requests do no more than one (RFC 9110 section 9.2.2). */
const IDEMPOTENT: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);

/**
 * True for a request that may be sent once more, on a fresh connection, where a connection that was used before breaks under
 * it: backends close idle connections when they like, and cannot say so before the request is on its way.
 */
export function mayBeSentTwice({ method, hasBody, upgrade }: BackendRequest): boolean {
  return !hasBody && upgrade !== true && IDEMPOTENT.has(method);
}
