import type { Hono } from "hono";
import type { AdminEnv } from "./deps.ts";
import { AdminRequestError } from "./errors.ts";

/** Paths as a document of OpenAPI has them, each with its operations by method. */
export type KnownPaths = Readonly<Record<string, object>>;

/**
 * Refuses every other method of paths that exist: `method_not_allowed`, with `Allow` (RFC 9110 section 15.5.6). Hono asks
 * routes in the order of their registration, so these come after the real ones.
 */
export function refuseOtherMethods(app: Hono<AdminEnv>, known: KnownPaths): void {
  for (const [path, operations] of Object.entries(known)) {
    const allowed = Object.keys(operations).map((method) => method.toUpperCase());
    if (allowed.includes("GET")) allowed.push("HEAD");
    const allow = allowed.join(", ");
    app.all(path.replaceAll(/\{(\w+)\}/g, ":$1"), (c) => {
      c.header("Allow", allow);
      throw new AdminRequestError(
        "method_not_allowed",
        `Cannot ${c.req.method} "${c.req.path}": its methods are ${allow}`,
      );
    });
  }
}
