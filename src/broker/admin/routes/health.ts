import { Hono } from "hono";
import type { AdminDeps, AdminEnv } from "../deps.ts";

/** `/livez`, `/readyz` and `/metrics`: no token, nothing secret. */
export function healthRoutes({ store, live, metrics }: AdminDeps): Hono<AdminEnv> {
  return new Hono<AdminEnv>()
    .get("/livez", (c) => c.json({ live: true }))
    .get("/readyz", async (c) => {
      const { ready, reasons } = live.ready();
      const stored = await store.ping().catch(() => false);
      const all = stored ? reasons : [...reasons, "the store does not answer"];
      // Users are served without it: nothing that would take this broker out of a load balancer.
      const trouble = stored ? await store.writeTrouble().catch((error: Error) => error.message) : null;
      const warnings = trouble === null ? [] : [`changes cannot be made: ${trouble}`];
      return c.json({ ready: ready && stored, reasons: all, warnings }, ready && stored ? 200 : 503);
    })
    .get(
      "/metrics",
      async (c) => c.body(await metrics.render(), 200, { "Content-Type": metrics.contentType }),
    );
}
