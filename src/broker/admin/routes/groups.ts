import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { AdminDeps, AdminEnv } from "../deps.ts";
import { etagOf, expectedVersion } from "../etag.ts";
import { pageAnswer, pageOf, pageQuery } from "../paging.ts";
import { groupInput, groupSchema, toGroup } from "../schemas/group.ts";
import { problems } from "../schemas/problem.ts";
import { idParam, ifMatchHeader } from "../schemas/record.ts";
import { answers, creates, lists, takes } from "../schemas/responses.ts";
import { createRouter } from "./router.ts";

const tags = ["Groups"];
const path = "/groups/{id}";

const list = createRoute({
  method: "get",
  path: "/groups",
  operationId: "listGroups",
  tags,
  summary: "List groups",
  request: { query: z.strictObject(pageQuery) },
  responses: { 200: lists("One page.", pageOf("GroupPage", groupSchema)), ...problems(400, 401) },
});

const create = createRoute({
  method: "post",
  path: "/groups",
  operationId: "createGroup",
  tags,
  summary: "Create a group",
  request: { body: takes(groupInput) },
  responses: { 201: creates("The new group.", groupSchema), ...problems(400, 401, 409) },
});

const get = createRoute({
  method: "get",
  path,
  operationId: "getGroup",
  tags,
  summary: "Get a group",
  request: { params: idParam },
  responses: { 200: answers("The group.", groupSchema), ...problems(401, 404) },
});

const update = createRoute({
  method: "patch",
  path,
  operationId: "updateGroup",
  tags,
  summary: "Rename a group",
  request: { params: idParam, headers: ifMatchHeader, body: takes(groupInput) },
  responses: { 200: answers("The group as it is now.", groupSchema), ...problems(400, 401, 404, 409, 412) },
});

const remove = createRoute({
  method: "delete",
  path,
  operationId: "deleteGroup",
  tags,
  summary: "Delete an empty group",
  request: { params: idParam, headers: ifMatchHeader },
  responses: { 204: { description: "Deleted." }, ...problems(401, 404, 409, 412) },
});

/** Routes of groups. */
export function groupRoutes({ store }: AdminDeps): OpenAPIHono<AdminEnv> {
  const routes = createRouter();
  const versionOf = (id: string) => async () => (await store.getGroup(id)).version;

  routes.openapi(list, async (c) => {
    const page = await store.listGroups(c.req.valid("query"));
    return c.json(pageAnswer(c, page, page.items.map(toGroup)), 200);
  });

  routes.openapi(create, async (c) => {
    const group = await store.createGroup(c.get("actor"), c.req.valid("json").name);
    return c.json(toGroup(group), 201, {
      ETag: etagOf(group.version),
      Location: `/api/v1/groups/${group.id}`,
    });
  });

  routes.openapi(get, async (c) => {
    const group = await store.getGroup(c.req.valid("param").id);
    return c.json(toGroup(group), 200, { ETag: etagOf(group.version) });
  });

  routes.openapi(update, async (c) => {
    const { id } = c.req.valid("param");
    const expected = await expectedVersion(c.req.header("if-match"), versionOf(id));
    const group = await store.updateGroup(c.get("actor"), id, c.req.valid("json").name, expected);
    return c.json(toGroup(group), 200, { ETag: etagOf(group.version) });
  });

  routes.openapi(remove, async (c) => {
    const { id } = c.req.valid("param");
    const expected = await expectedVersion(c.req.header("if-match"), versionOf(id));
    await store.deleteGroup(c.get("actor"), id, expected);
    return c.body(null, 204);
  });

  return routes;
}
