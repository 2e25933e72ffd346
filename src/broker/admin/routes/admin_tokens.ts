import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { createAdminToken } from "../admin_token.ts";
import type { AdminDeps, AdminEnv } from "../deps.ts";
import { etagOf } from "../etag.ts";
import { pageAnswer, pageOf, pageQuery } from "../paging.ts";
import { problems } from "../schemas/problem.ts";
import { idParam } from "../schemas/record.ts";
import { answers, creates, lists, takes } from "../schemas/responses.ts";
import { adminTokenInput, adminTokenSchema, newAdminTokenSchema, toAdminToken } from "../schemas/token.ts";
import { createRouter } from "./router.ts";

const tags = ["Admin tokens"];
const path = "/admin-tokens/{id}";

const list = createRoute({
  method: "get",
  path: "/admin-tokens",
  operationId: "listAdminTokens",
  tags,
  summary: "List admin tokens",
  request: { query: z.strictObject(pageQuery) },
  responses: { 200: lists("One page.", pageOf("AdminTokenPage", adminTokenSchema)), ...problems(400, 401) },
});

const create = createRoute({
  method: "post",
  path: "/admin-tokens",
  operationId: "createAdminToken",
  tags,
  summary: "Create an admin token; its text is in this answer and nowhere else",
  request: { body: takes(adminTokenInput) },
  responses: { 201: creates("The new token.", newAdminTokenSchema), ...problems(400, 401) },
});

const get = createRoute({
  method: "get",
  path,
  operationId: "getAdminToken",
  tags,
  summary: "Get an admin token",
  request: { params: idParam },
  responses: { 200: answers("The token, without its text.", adminTokenSchema), ...problems(401, 404) },
});

const revoke = createRoute({
  method: "delete",
  path,
  operationId: "revokeAdminToken",
  tags,
  summary: "Revoke an admin token; it stays in the list; the last one is kept",
  request: { params: idParam },
  responses: { 200: answers("The revoked token.", adminTokenSchema), ...problems(401, 404, 409) },
});

/** Routes of admin tokens. */
export function adminTokenRoutes({ store }: AdminDeps): OpenAPIHono<AdminEnv> {
  const routes = createRouter();

  routes.openapi(list, async (c) => {
    const page = await store.listAdminTokens(c.req.valid("query"));
    return c.json(pageAnswer(c, page, page.items.map(toAdminToken)), 200);
  });

  routes.openapi(create, async (c) => {
    const { token: text, sha256 } = createAdminToken();
    const token = await store.createAdminToken(c.get("actor"), c.req.valid("json").name, sha256);
    return c.json({ ...toAdminToken(token), token: text }, 201, {
      ETag: etagOf(token.version),
      Location: `/api/v1/admin-tokens/${token.id}`,
    });
  });

  routes.openapi(get, async (c) => {
    const token = await store.getAdminToken(c.req.valid("param").id);
    return c.json(toAdminToken(token), 200, { ETag: etagOf(token.version) });
  });

  routes.openapi(revoke, async (c) => {
    const token = await store.revokeAdminToken(c.get("actor"), c.req.valid("param").id);
    return c.json(toAdminToken(token), 200, { ETag: etagOf(token.version) });
  });

  return routes;
}
