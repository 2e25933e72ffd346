import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { AdminDeps, AdminEnv } from "../deps.ts";
import { pageAnswer, pageOf, pageQuery } from "../paging.ts";
import { auditSchema, toAudit } from "../schemas/audit.ts";
import { problems } from "../schemas/problem.ts";
import { lists } from "../schemas/responses.ts";
import { createRouter } from "./router.ts";

const list = createRoute({
  method: "get",
  path: "/audit",
  operationId: "listAudit",
  tags: ["Audit"],
  summary: "List what was changed and by whom, newest first",
  request: { query: z.strictObject(pageQuery) },
  responses: { 200: lists("One page.", pageOf("AuditPage", auditSchema)), ...problems(400, 401) },
});

/** The route of the audit table. */
export function auditRoutes({ store }: AdminDeps): OpenAPIHono<AdminEnv> {
  const routes = createRouter();
  routes.openapi(list, async (c) => {
    const page = await store.listAudit(c.req.valid("query"));
    return c.json(pageAnswer(c, page, page.items.map(toAudit)), 200);
  });
  return routes;
}
