import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import type { AdminDeps, AdminEnv } from "../deps.ts";
import { expectedVersion } from "../etag.ts";
import { problems } from "../schemas/problem.ts";
import { ifMatchHeader } from "../schemas/record.ts";
import { answers, takes } from "../schemas/responses.ts";
import { settingsPatch, settingsSchema, toSettings } from "../schemas/settings.ts";
import { createRouter } from "./router.ts";

const tags = ["Settings"];

const get = createRoute({
  method: "get",
  path: "/settings",
  operationId: "getSettings",
  tags,
  summary: "Get the settings",
  responses: { 200: answers("The settings.", settingsSchema), ...problems(401) },
});

const update = createRoute({
  method: "patch",
  path: "/settings",
  operationId: "updateSettings",
  tags,
  summary: "Change settings; they work at once",
  request: { headers: ifMatchHeader, body: takes(settingsPatch) },
  responses: { 200: answers("The settings as they are now.", settingsSchema), ...problems(400, 401, 412) },
});

/** Routes of the settings. */
export function settingsRoutes({ store, configured }: AdminDeps): OpenAPIHono<AdminEnv> {
  const routes = createRouter();

  routes.openapi(get, async (c) => {
    const answer = toSettings(await store.getSettings(), configured);
    return c.json(answer, 200, { ETag: answer.etag });
  });

  routes.openapi(update, async (c) => {
    const current = async () => (await store.getSettings()).version;
    const expected = await expectedVersion(c.req.header("if-match"), current);
    const kept = await store.updateSettings(c.get("actor"), c.req.valid("json"), expected);
    const answer = toSettings(kept, configured);
    return c.json(answer, 200, { ETag: answer.etag });
  });

  return routes;
}
