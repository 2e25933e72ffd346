import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { App, AppSettings } from "../../model.ts";
import type { AdminDeps, AdminEnv } from "../deps.ts";
import { etagOf, expectedVersion } from "../etag.ts";
import { pageAnswer, pageOf, pageQuery } from "../paging.ts";
import { appInput, appPatch, appSchema, toApp } from "../schemas/app.ts";
import { mergeTraffic } from "../schemas/app_traffic.ts";
import { problems } from "../schemas/problem.ts";
import { idParam, idText, ifMatchHeader } from "../schemas/record.ts";
import { answers, creates, lists, takes } from "../schemas/responses.ts";
import { refuseOwnNames, requireGroup, requireProtocolFit } from "./references.ts";
import { createRouter } from "./router.ts";

const tags = ["Apps"];
const path = "/apps/{id}";

const list = createRoute({
  method: "get",
  path: "/apps",
  operationId: "listApps",
  tags,
  summary: "List apps",
  request: { query: z.strictObject({ ...pageQuery, groupId: idText.optional() }) },
  responses: { 200: lists("One page.", pageOf("AppPage", appSchema)), ...problems(400, 401) },
});

const create = createRoute({
  method: "post",
  path: "/apps",
  operationId: "createApp",
  tags,
  summary: "Publish an app",
  request: { body: takes(appInput) },
  responses: { 201: creates("The new app.", appSchema), ...problems(400, 401, 409) },
});

const get = createRoute({
  method: "get",
  path,
  operationId: "getApp",
  tags,
  summary: "Get an app",
  request: { params: idParam },
  responses: { 200: answers("The app.", appSchema), ...problems(401, 404) },
});

const update = createRoute({
  method: "patch",
  path,
  operationId: "updateApp",
  tags,
  summary: "Change an app",
  request: { params: idParam, headers: ifMatchHeader, body: takes(appPatch) },
  responses: { 200: answers("The app as it is now.", appSchema), ...problems(400, 401, 404, 409, 412) },
});

const remove = createRoute({
  method: "delete",
  path,
  operationId: "deleteApp",
  tags,
  summary: "Delete an app",
  request: { params: idParam, headers: ifMatchHeader },
  responses: { 204: { description: "Deleted." }, ...problems(401, 404, 412) },
});

/** Routes of apps. */
export function appRoutes({ store, missingForUsers, tokenFacts }: AdminDeps): OpenAPIHono<AdminEnv> {
  const routes = createRouter();
  const versionOf = (id: string) => async () => (await store.getApp(id)).version;

  routes.openapi(list, async (c) => {
    const page = await store.listApps(c.req.valid("query"));
    return c.json(pageAnswer(c, page, page.items.map((app) => toApp(app, missingForUsers))), 200);
  });

  routes.openapi(create, async (c) => {
    const input = c.req.valid("json");
    requireProtocolFit(input);
    refuseOwnNames(input.externalUrls, tokenFacts);
    await requireGroup(store, input.groupId);
    const app = await store.createApp(c.get("actor"), input);
    return c.json(toApp(app, missingForUsers), 201, {
      ETag: etagOf(app.version),
      Location: `/api/v1/apps/${app.id}`,
    });
  });

  routes.openapi(get, async (c) => {
    const app = await store.getApp(c.req.valid("param").id);
    return c.json(toApp(app, missingForUsers), 200, { ETag: etagOf(app.version) });
  });

  routes.openapi(update, async (c) => {
    const { id } = c.req.valid("param");
    const patch = c.req.valid("json");
    const expected = await expectedVersion(c.req.header("if-match"), versionOf(id));
    refuseOwnNames(patch.externalUrls, tokenFacts);
    const before = await store.getApp(id);
    await requireGroup(store, patch.groupId);
    // Nested parts are merged with what was read, so that they are only written over exactly that.
    const guard = expected ?? (NESTED.some((name) => patch[name] !== undefined) ? before.version : undefined);
    const merged = merge(before, patch);
    requireProtocolFit({ ...before, ...merged });
    const app = await store.updateApp(c.get("actor"), id, merged, guard);
    return c.json(toApp(app, missingForUsers), 200, { ETag: etagOf(app.version) });
  });

  routes.openapi(remove, async (c) => {
    const { id } = c.req.valid("param");
    const expected = await expectedVersion(c.req.header("if-match"), versionOf(id));
    await store.deleteApp(c.get("actor"), id, expected);
    return c.body(null, 204);
  });

  return routes;
}

/** Fields of which a patch may name parts, and those that are judged with the rest of the app. */
const NESTED = [
  "timeouts",
  "backendTls",
  "maintenance",
  "cookies",
  "healthCheck",
  "internalUrl",
  "backendProtocol",
] as const;

/** What the store is to change: nested parts whole (RFC 7396: what is not named stays, null takes away). */
function merge(app: App, patch: z.infer<typeof appPatch>): Partial<AppSettings> {
  const { timeouts, backendTls, maintenance: _m, cookies: _c, healthCheck: _h, ...rest } = patch;
  const merged: Partial<AppSettings> = { ...rest, ...mergeTraffic(app, patch) };
  if (timeouts !== undefined) merged.timeouts = { ...app.timeouts, ...timeouts };
  if (backendTls !== undefined) {
    const { validate, ca, serverName, minVersion, clientCertificate } = { ...app.backendTls, ...backendTls };
    merged.backendTls = {
      validate,
      ...ca == null ? {} : { ca },
      ...serverName == null ? {} : { serverName },
      minVersion,
      ...clientCertificate == null ? {} : { clientCertificate },
    };
  }
  return merged;
}
