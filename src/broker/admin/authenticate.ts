import { createMiddleware } from "hono/factory";
import type { Log } from "../../platform/log.ts";
import type { Actor } from "../model.ts";
import type { Store } from "../store/port.ts";
import { adminTokenSha256, isAdminToken } from "./admin_token.ts";
import type { AdminEnv } from "./deps.ts";
import { AdminRequestError } from "./errors.ts";

/** Middleware that lets only requests with a live admin token pass, and notes whose it is. Reads no body. */
export function authenticate(store: Store, log: Log) {
  return createMiddleware<AdminEnv>(async (c, next) => {
    const given = /^bearer +([^ ]+) *$/i.exec(c.req.header("authorization") ?? "")?.[1];
    const address = c.env?.incoming?.socket.remoteAddress;
    const token = given !== undefined && isAdminToken(given)
      ? await store.findAdminToken(adminTokenSha256(given))
      : null;
    if (token === null) {
      log.warn("Admin request refused: no valid token", { requestId: c.get("requestId"), address });
      const challenge = given === undefined ? "" : ', error="invalid_token"';
      c.header("WWW-Authenticate", `Bearer realm="sallyport"${challenge}`);
      throw new AdminRequestError(
        "unauthorized",
        given === undefined
          ? 'Send "Authorization: Bearer" with an admin token'
          : "The admin token is unknown or revoked",
      );
    }
    const actor: Actor = { kind: "admin", id: token.id };
    if (address !== undefined) actor.address = address;
    c.set("actor", actor);
    await next();
  });
}
