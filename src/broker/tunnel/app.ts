import type { X509Certificate } from "node:crypto";
import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { TLSSocket } from "node:tls";
import { type Context, Hono } from "hono";
import type { Log } from "../../platform/log.ts";
import type { TunnelStore } from "../store/remembered.ts";
import { admit } from "./admission.ts";
import { TunnelError } from "./errors.ts";
import { type StreamEnv, TAKEN } from "./hono_streams.ts";
import type { TunnelPeer } from "./tunnel.ts";
import type { Tunnels } from "./tunnels.ts";

/** Who a verified certificate says that its holder is. Throws an error with a code when it is not a connector's. */
export type IdentityOf = (
  certificate: X509Certificate,
) => { connectorId: string; serial: string; notAfter: number };

/** What the tunnel application needs. */
export interface TunnelAppDeps {
  store: TunnelStore;
  tunnels: Tunnels;
  identityOf: IdentityOf;
  /** Address of the other end of a session, PROXY protocol taken into account. */
  externalIpOf: (session: ServerHttp2Session) => string;
  log: Log;
}

const REFUSALS: Record<string, number> = {
  certificate_missing: 401,
  connector_unknown: 403,
  connector_disabled: 403,
  tunnel_unknown: 409,
  tunnel_replaced: 409,
  too_many_lanes: 429,
};

/** The Hono application behind the tunnel listener: authenticates each stream and hands it over as control stream or lane. */
export function createTunnelApp(
  { store, tunnels, identityOf, externalIpOf, log }: TunnelAppDeps,
): Hono<StreamEnv> {
  const app = new Hono<StreamEnv>();

  app.post("/tunnel/v1/control", async (c) => {
    const { session, stream } = sessionOf(c);
    const peer = await authenticate(session);
    if (hasLeft(stream)) return TAKEN;
    tunnels.open(session, stream, peer);
    stream.respond({ ":status": 200, "content-type": "application/octet-stream" });
    return TAKEN;
  });

  app.post("/tunnel/v1/lane", (c) => {
    const { session, stream } = sessionOf(c);
    if (hasLeft(stream)) return TAKEN;
    const tunnel = tunnels.of(session);
    tunnel.checkLane();
    stream.respond({ ":status": 200, "content-type": "application/octet-stream" });
    tunnel.addLane(stream);
    return TAKEN;
  });

  app.notFound((c) =>
    c.json({ type: "about:blank", status: 404, code: "not_found", title: "Not found" }, 404)
  );

  app.onError((error, c) => {
    const code = (error as { code?: string }).code ?? "internal";
    const status = REFUSALS[code] ?? (/^(peer_)?certificate_/.test(code) ? 403 : 503);
    log.warn("tunnel stream refused", { path: c.req.path, code, error: error.message });
    const body = JSON.stringify({ type: "about:blank", status, code, title: error.message });
    return new Response(body, { status, headers: { "content-type": "application/problem+json" } });
  });

  /** Only the leaf that TLS has verified counts; the store has the last word. */
  async function authenticate(session: ServerHttp2Session): Promise<TunnelPeer> {
    const socket = session.socket as TLSSocket;
    const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined;
    if (certificate === undefined) {
      throw new TunnelError("certificate_missing", "Cannot open tunnel: no verified client certificate");
    }
    const { connectorId, serial, notAfter } = identityOf(certificate);
    const externalIp = externalIpOf(session);
    const record = await admit(store, { connectorId, serial });
    return { connectorId, groupId: record.groupId, serial, notAfter, externalIp };
  }

  return app;
}

/** The peer has reset the stream already; what it has sent before is in the way of its end. */
function hasLeft(stream: ServerHttp2Stream): boolean {
  if (!stream.closed && !stream.destroyed) return false;
  stream.resume();
  return true;
}

function sessionOf(c: Context<StreamEnv>) {
  const { stream } = c.env;
  const session = stream.session as ServerHttp2Session | undefined;
  if (session === undefined) throw new TunnelError("tunnel_unknown", "Session has gone");
  return { session, stream };
}
