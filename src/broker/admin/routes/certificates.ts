import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { AdminDeps, AdminEnv } from "../deps.ts";
import { pageAnswer, pageOf, pageQuery } from "../paging.ts";
import { certificateSchema, revocationQuery, serialParam, toCertificate } from "../schemas/certificate.ts";
import { problems } from "../schemas/problem.ts";
import { idText } from "../schemas/record.ts";
import { lists } from "../schemas/responses.ts";
import { createRouter } from "./router.ts";

const tags = ["Certificates"];

const list = createRoute({
  method: "get",
  path: "/certificates",
  operationId: "listCertificates",
  tags,
  summary: "List the certificates issued to connectors, by serial number",
  request: {
    query: z.strictObject({
      ...pageQuery,
      connectorId: idText.optional(),
      revoked: z.enum(["true", "false"]).optional().openapi({
        description: "Only the revoked ones, or the others.",
      }),
    }),
  },
  responses: {
    200: lists("One page.", pageOf("CertificatePage", certificateSchema)),
    ...problems(400, 401),
  },
});

const revoke = createRoute({
  method: "delete",
  path: "/certificates/{serial}",
  operationId: "revokeCertificate",
  tags,
  summary: "Revoke one certificate: its tunnels end; it stays in the list, and its connector may have others",
  request: { params: serialParam, query: revocationQuery },
  responses: {
    200: {
      description: "The revoked certificate.",
      content: { "application/json": { schema: certificateSchema } },
    },
    ...problems(400, 401, 404),
  },
});

/** Routes of the certificates issued to connectors. */
export function certificateRoutes({ store }: AdminDeps): OpenAPIHono<AdminEnv> {
  const routes = createRouter();

  routes.openapi(list, async (c) => {
    const { revoked, ...query } = c.req.valid("query");
    const page = await store.listCertificates({
      ...query,
      ...(revoked === undefined ? {} : { revoked: revoked === "true" }),
    });
    return c.json(pageAnswer(c, page, page.items.map(toCertificate)), 200);
  });

  routes.openapi(revoke, async (c) => {
    const { serial } = c.req.valid("param");
    const { reason } = c.req.valid("query");
    return c.json(toCertificate(await store.revokeCertificate(c.get("actor"), serial, reason)), 200);
  });

  return routes;
}
