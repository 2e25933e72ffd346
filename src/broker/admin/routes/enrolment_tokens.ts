import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { encodeEnrolmentToken } from "../../../protocol/enrolment.ts";
import { createEnrolmentSecret } from "../../enrol/secret.ts";
import type { AdminDeps, AdminEnv } from "../deps.ts";
import { DEFAULT_GROUP_ID } from "../../model.ts";
import { etagOf, expectedVersion } from "../etag.ts";
import { pageAnswer, pageOf, pageQuery } from "../paging.ts";
import { problems } from "../schemas/problem.ts";
import { idParam, ifMatchHeader } from "../schemas/record.ts";
import { answers, creates, lists, takes } from "../schemas/responses.ts";
import {
  enrolmentTokenInput,
  enrolmentTokenPatch,
  enrolmentTokenSchema,
  newEnrolmentTokenSchema,
  toEnrolmentToken,
} from "../schemas/token.ts";
import { requireGroup } from "./references.ts";
import { createRouter } from "./router.ts";

const tags = ["Enrolment tokens"];
const path = "/enrolment-tokens/{id}";

const list = createRoute({
  method: "get",
  path: "/enrolment-tokens",
  operationId: "listEnrolmentTokens",
  tags,
  summary: "List enrolment tokens",
  request: { query: z.strictObject(pageQuery) },
  responses: {
    200: lists("One page.", pageOf("EnrolmentTokenPage", enrolmentTokenSchema)),
    ...problems(400, 401),
  },
});

const create = createRoute({
  method: "post",
  path: "/enrolment-tokens",
  operationId: "createEnrolmentToken",
  tags,
  summary: "Create an enrolment token; its text is in this answer and nowhere else",
  request: { body: takes(enrolmentTokenInput) },
  responses: { 201: creates("The new token.", newEnrolmentTokenSchema), ...problems(400, 401, 404) },
});

const get = createRoute({
  method: "get",
  path,
  operationId: "getEnrolmentToken",
  tags,
  summary: "Get an enrolment token",
  request: { params: idParam },
  responses: { 200: answers("The token, without its text.", enrolmentTokenSchema), ...problems(401, 404) },
});

const update = createRoute({
  method: "patch",
  path,
  operationId: "updateEnrolmentToken",
  tags,
  summary: "Change an enrolment token; never its text, group or connector",
  request: { params: idParam, headers: ifMatchHeader, body: takes(enrolmentTokenPatch) },
  responses: {
    200: answers("The token as it is now.", enrolmentTokenSchema),
    ...problems(400, 401, 404, 409, 412),
  },
});

const revoke = createRoute({
  method: "delete",
  path,
  operationId: "revokeEnrolmentToken",
  tags,
  summary: "Revoke an enrolment token; it stays in the list",
  request: { params: idParam },
  responses: { 200: answers("The revoked token.", enrolmentTokenSchema), ...problems(401, 404) },
});

/** Routes of enrolment tokens. */
export function enrolmentTokenRoutes({ store, tokenFacts, clock }: AdminDeps): OpenAPIHono<AdminEnv> {
  const routes = createRouter();
  const versionOf = (id: string) => async () => (await store.getEnrolmentToken(id)).version;

  routes.openapi(list, async (c) => {
    const page = await store.listEnrolmentTokens(c.req.valid("query"));
    const now = clock.now();
    return c.json(pageAnswer(c, page, page.items.map((token) => toEnrolmentToken(token, now))), 200);
  });

  routes.openapi(create, async (c) => {
    const { ttlSeconds, groupId = DEFAULT_GROUP_ID, ...input } = c.req.valid("json");
    await requireGroup(store, groupId);
    const { secret, sha256 } = createEnrolmentSecret();
    const text = encodeEnrolmentToken({ ...tokenFacts, secret });
    const now = clock.now();
    const token = await store.createEnrolmentToken(c.get("actor"), {
      ...input,
      groupId,
      expiresAt: now + ttlSeconds * 1_000,
      secretSha256: sha256,
    });
    return c.json({ ...toEnrolmentToken(token, now), token: text }, 201, {
      ETag: etagOf(token.version),
      Location: `/api/v1/enrolment-tokens/${token.id}`,
    });
  });

  routes.openapi(get, async (c) => {
    const token = await store.getEnrolmentToken(c.req.valid("param").id);
    return c.json(toEnrolmentToken(token, clock.now()), 200, { ETag: etagOf(token.version) });
  });

  routes.openapi(update, async (c) => {
    const { id } = c.req.valid("param");
    const { ttlSeconds, ...patch } = c.req.valid("json");
    const expected = await expectedVersion(c.req.header("if-match"), versionOf(id));
    const now = clock.now();
    const expiresAt = ttlSeconds === undefined ? {} : { expiresAt: now + ttlSeconds * 1_000 };
    const token = await store.updateEnrolmentToken(c.get("actor"), id, { ...patch, ...expiresAt }, expected);
    return c.json(toEnrolmentToken(token, now), 200, { ETag: etagOf(token.version) });
  });

  routes.openapi(revoke, async (c) => {
    const token = await store.revokeEnrolmentToken(c.get("actor"), c.req.valid("param").id);
    return c.json(toEnrolmentToken(token, clock.now()), 200, { ETag: etagOf(token.version) });
  });

  return routes;
}
