import { randomUUID } from "node:crypto";
import { Hono } from "hono";
import { authenticate } from "./authenticate.ts";
import { limitBody } from "./body_limit.ts";
import type { AdminDeps, AdminEnv } from "./deps.ts";
import { docsPage } from "./docs_page.ts";
import { AdminRequestError } from "./errors.ts";
import { answerInForce } from "./in_force.ts";
import { refuseOtherMethods } from "./method_not_allowed.ts";
import { openapiDocument } from "./openapi.ts";
import { problemResponse } from "./problem.ts";
import { adminTokenRoutes } from "./routes/admin_tokens.ts";
import { appRoutes } from "./routes/apps.ts";
import { auditRoutes } from "./routes/audit.ts";
import { certificateRoutes } from "./routes/certificates.ts";
import { connectorRoutes } from "./routes/connectors.ts";
import { enrolmentTokenRoutes } from "./routes/enrolment_tokens.ts";
import { groupRoutes } from "./routes/groups.ts";
import { healthRoutes } from "./routes/health.ts";
import { createRouter } from "./routes/router.ts";
import { settingsRoutes } from "./routes/settings.ts";

/** Bytes of the largest request body, refused before it is read. */
export const MAX_BODY_BYTES = 1_048_576;

/** Version of the API itself, as its document says it. */
export const API_VERSION = "1.0.0";

/** What changes here decides where requests of users go. */
const ROUTED = ["/api/v1/apps/*", "/api/v1/connectors/*"];

const PARTS = [
  connectorRoutes,
  certificateRoutes,
  groupRoutes,
  appRoutes,
  enrolmentTokenRoutes,
  adminTokenRoutes,
  settingsRoutes,
  auditRoutes,
];

/** Paths that need no token. */
const PUBLIC = Object.fromEntries(
  ["/", "/livez", "/readyz", "/metrics", "/api/v1/openapi.json", "/api/v1/docs"]
    .map((path) => [path, { get: {} }]),
);

/** The whole admin listener as a Hono application: API with its document, health and metrics. */
export function createAdminApp(deps: AdminDeps): Hono<AdminEnv> {
  const api = createRouter();
  api.openAPIRegistry.registerComponent("securitySchemes", "bearer", { type: "http", scheme: "bearer" });
  for (const part of PARTS) api.route("/", part(deps));
  const document = openapiDocument(api, API_VERSION);
  refuseOtherMethods(api, document.paths ?? {});
  const page = docsPage(document);

  const app = new Hono<AdminEnv>();
  app.onError((error, c) => problemResponse(error, c, deps.log));
  app.notFound((c) => {
    const error = new AdminRequestError("route_unknown", `There is no "${c.req.method} ${c.req.path}"`);
    return problemResponse(error, c, deps.log);
  });
  app.use(async (c, next) => {
    c.set("requestId", randomUUID());
    c.header("X-Request-Id", c.get("requestId"));
    c.header("X-Content-Type-Options", "nosniff");
    c.header("Cache-Control", "no-store");
    await next();
  });
  app.get("/", (c) => c.redirect("/api/v1/docs"));
  app.route("/", healthRoutes(deps));
  app.get("/api/v1/openapi.json", (c) => c.json(document));
  app.get("/api/v1/docs", (c) => c.html(page.html, 200, { "Content-Security-Policy": page.policy }));
  refuseOtherMethods(app, PUBLIC);
  // The order is the point: nothing of a body is read before the token is known to be good.
  app.use("/api/v1/*", authenticate(deps.store, deps.log), limitBody(MAX_BODY_BYTES));
  if (deps.inForce !== undefined) {
    const inForce = answerInForce(deps.inForce, deps.log);
    for (const path of ROUTED) app.use(path, inForce);
  }
  app.route("/api/v1", api);
  return app;
}
