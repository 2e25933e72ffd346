import type { OpenAPIHono } from "@hono/zod-openapi";
import type { AdminEnv } from "./deps.ts";

/** The OpenAPI 3.1 document of an API whose routes stand below `/api/v1`. */
export function openapiDocument(api: OpenAPIHono<AdminEnv>, version: string) {
  return api.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Sallyport admin API",
      version,
      description:
        "Everything that an administrator can do with a broker. Send `Authorization: Bearer <admin token>`. Failures " +
        "are problem bodies (RFC 9457) with a `code`. Send `If-Match` with the `ETag` that was read and a change " +
        "happens only to what was read.",
      license: { name: "MIT" },
    },
    servers: [{ url: "/api/v1" }],
    security: [{ bearer: [] }],
    tags: TAGS,
  });
}

/** The document as JSON, as far as the page of it reads it. */
export type OpenapiDocument = ReturnType<typeof openapiDocument>;

const TAGS = [
  { name: "Connectors", description: "Hosts on the private side that have enrolled." },
  {
    name: "Certificates",
    description: "What connectors prove with who they are; each can be revoked alone.",
  },
  { name: "Groups", description: "Connectors that are interchangeable; an app is bound to one group." },
  { name: "Apps", description: "Published applications." },
  { name: "Enrolment tokens", description: "Permissions to enrol a connector." },
  { name: "Admin tokens", description: "Bearer tokens of this API." },
  { name: "Settings", description: "What can be changed while the broker runs." },
  { name: "Audit", description: "Every change." },
];
