import { createMiddleware } from "hono/factory";
import type { Log } from "../../platform/log.ts";
import type { AdminEnv } from "./deps.ts";

/** Longest that the answer to a change is held back, in milliseconds. */
export const IN_FORCE_MS = 2_000;

/** It is counted in so many parts: of a time in which this process stood still, one part counts at most. */
const PARTS = 4;

/**
 * Middleware that answers a change when this process serves by it: `inForce` resolves then, of all that the store has
 * told so far. After `withinMs` the answer goes out nevertheless, with a line in the log: the change is on disk.
 */
export function answerInForce(inForce: () => Promise<void>, log: Log, withinMs: number = IN_FORCE_MS) {
  return createMiddleware<AdminEnv>(async (c, next) => {
    await next();
    if (c.req.method === "GET" || c.req.method === "HEAD" || !c.res.ok) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<"late">((resolve) => {
      let left = PARTS;
      const count = (): void => {
        if (left-- === 0) resolve("late");
        else timer = setTimeout(count, withinMs / PARTS);
      };
      count();
    });
    try {
      if (await Promise.race([inForce(), late]) !== "late") return;
      const { method, path } = c.req;
      log.warn("Change answered before it is in force", {
        requestId: c.get("requestId"),
        method,
        path,
        withinMs,
      });
    } finally {
      clearTimeout(timer);
    }
  });
}
