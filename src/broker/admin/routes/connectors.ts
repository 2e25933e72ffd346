import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { ConnectorRecord, Group } from "../../model.ts";
import type { AdminDeps, AdminEnv } from "../deps.ts";
import { etagOf, expectedVersion } from "../etag.ts";
import { pageAnswer, pageOf, pageQuery } from "../paging.ts";
import { connectorPatch, connectorSchema, toConnector } from "../schemas/connector.ts";
import { problems } from "../schemas/problem.ts";
import { idParam, idText, ifMatchHeader } from "../schemas/record.ts";
import { answers, lists, takes } from "../schemas/responses.ts";
import { requireGroup } from "./references.ts";
import { createRouter } from "./router.ts";

const tags = ["Connectors"];
const path = "/connectors/{id}";

const list = createRoute({
  method: "get",
  path: "/connectors",
  operationId: "listConnectors",
  tags,
  summary: "List connectors",
  request: { query: z.strictObject({ ...pageQuery, groupId: idText.optional() }) },
  responses: { 200: lists("One page.", pageOf("ConnectorPage", connectorSchema)), ...problems(400, 401) },
});

const get = createRoute({
  method: "get",
  path,
  operationId: "getConnector",
  tags,
  summary: "Get a connector",
  request: { params: idParam },
  responses: { 200: answers("The connector.", connectorSchema), ...problems(401, 404) },
});

const update = createRoute({
  method: "patch",
  path,
  operationId: "updateConnector",
  tags,
  summary: "Move, disable or enable a connector",
  request: { params: idParam, headers: ifMatchHeader, body: takes(connectorPatch) },
  responses: {
    200: answers("The connector as it is now.", connectorSchema),
    ...problems(400, 401, 404, 412),
  },
});

const remove = createRoute({
  method: "delete",
  path,
  operationId: "deleteConnector",
  tags,
  summary: "Delete a connector: its certificate is worth nothing from then on",
  request: { params: idParam, headers: ifMatchHeader },
  responses: { 204: { description: "Deleted." }, ...problems(401, 404, 412) },
});

/** Routes of connectors. */
export function connectorRoutes(deps: AdminDeps): OpenAPIHono<AdminEnv> {
  const { store } = deps;
  const routes = createRouter();
  const versionOf = (id: string) => async () => (await store.getConnector(id)).version;

  routes.openapi(list, async (c) => {
    const page = await store.listConnectors(c.req.valid("query"));
    return c.json(pageAnswer(c, page, await describe(deps, page.items)), 200);
  });

  routes.openapi(get, async (c) => {
    const connector = await store.getConnector(c.req.valid("param").id);
    const [body] = await describe(deps, [connector]);
    return c.json(body!, 200, { ETag: etagOf(connector.version) });
  });

  routes.openapi(update, async (c) => {
    const { id } = c.req.valid("param");
    const patch = c.req.valid("json");
    const expected = await expectedVersion(c.req.header("if-match"), versionOf(id));
    await requireGroup(store, patch.groupId);
    const connector = await store.updateConnector(c.get("actor"), id, patch, expected);
    const [body] = await describe(deps, [connector]);
    return c.json(body!, 200, { ETag: etagOf(connector.version) });
  });

  routes.openapi(remove, async (c) => {
    const { id } = c.req.valid("param");
    const expected = await expectedVersion(c.req.header("if-match"), versionOf(id));
    await store.deleteConnector(c.get("actor"), id, expected);
    return c.body(null, 204);
  });

  return routes;
}

/** Connectors with what is true of them now. */
async function describe(deps: AdminDeps, connectors: readonly ConnectorRecord[]) {
  const { settings } = await deps.store.getSettings();
  const now = deps.clock.now();
  const groups = new Map<string, Group>();
  for (const { groupId } of connectors) {
    if (!groups.has(groupId)) groups.set(groupId, await deps.store.getGroup(groupId));
  }
  const revoked = new Map<string, number>();
  for (const { certificateSerial: serial } of connectors) {
    const revokedAt = serial === "" ? null : (await deps.store.findCertificate(serial))?.revokedAt ?? null;
    if (revokedAt !== null) revoked.set(serial, revokedAt);
  }
  return connectors.map((connector) =>
    toConnector({
      connector,
      group: groups.get(connector.groupId)!,
      revokedAt: revoked.get(connector.certificateSerial) ?? null,
      tunnels: deps.live.tunnels(connector.id),
      appsOutOfReach: deps.live.appsOutOfReach(connector.id),
      settings,
      now,
      inactiveAfterMs: deps.inactiveAfterMs ?? 60_000,
    })
  );
}
