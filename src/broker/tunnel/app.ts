import type { X509Certificate } from "node:crypto";
import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { TLSSocket } from "node:tls";
import { type Context, Hono } from "hono";
import { SallyportError } from "../../platform/error.ts";
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
  /** A stream was refused, with a code of `docs/errors.md`. */
  onRefused?: (code: string) => void;
  log: Log;
}

const REFUSALS: Record<string, number> = {
  certificate_missing: 401,
  connector_unknown: 403,
  connector_disabled: 403,
  not_found: 404,
  tunnel_unknown: 409,
  tunnel_replaced: 409,
  too_many_lanes: 429,
};

/** A connection on which no connector has said hello yet: the one stream that it may have, and who it says it is. */
interface Newcomer {
  stream: ServerHttp2Stream;
  connectorId?: string;
}

/**
 * The Hono application behind the tunnel listener: authenticates each stream and hands it over as control stream or lane.
 * A connection on which no connector has said hello has one stream, its control stream: when that is refused, or another
 * one comes before, the connection ends.
 */
export function createTunnelApp(
  { store, tunnels, identityOf, externalIpOf, onRefused = () => {}, log }: TunnelAppDeps,
): Hono<StreamEnv> {
  const app = new Hono<StreamEnv>();
  const newcomers = new WeakMap<ServerHttp2Session, Newcomer>();

  app.post("/tunnel/v1/control", async (c) => {
    const { session, stream, tunnel, newcomer } = enter(c);
    if (tunnel !== undefined) {
      throw new TunnelError("tunnel_replaced", "Session has a control stream already");
    }
    const peer = await authenticate(session, newcomer);
    if (hasLeft(stream)) return TAKEN;
    tunnels.open(session, stream, peer);
    stream.respond({ ":status": 200, "content-type": "application/octet-stream" });
    return TAKEN;
  });

  app.post("/tunnel/v1/lane", (c) => {
    if (hasLeft(c.env.stream)) return TAKEN;
    const { session, stream } = enter(c);
    const tunnel = tunnels.of(session);
    tunnel.checkLane();
    stream.respond({ ":status": 200, "content-type": "application/octet-stream" });
    tunnel.addLane(stream);
    tunnels.opened(tunnel, "lane");
    return TAKEN;
  });

  app.notFound((c) => {
    try {
      enter(c);
    } catch (error) {
      return refuse(error as Error, c);
    }
    return refuse(new SallyportError("not_found", `Cannot find "${c.req.path}"`), c);
  });

  app.onError(refuse);

  /** Takes the first stream of a newcomer, and all of one who has said hello. */
  function enter(c: Context<StreamEnv>) {
    const { stream } = c.env;
    const session = stream.session as ServerHttp2Session | undefined;
    if (session === undefined) throw new TunnelError("tunnel_unknown", "Session has gone");
    const tunnel = tunnels.find(session);
    const newcomer: Newcomer = { stream };
    if (tunnel === undefined || tunnel.hello === null) {
      if (newcomers.has(session)) {
        throw new TunnelError("tunnel_unknown", "Cannot take stream: no hello was said on its connection");
      }
      newcomers.set(session, newcomer);
    }
    return { session, stream, tunnel, newcomer };
  }

  /** Refuses a stream, and ends its connection where no connector has said hello. */
  function refuse(error: Error, c: Context<StreamEnv>): Response {
    const { stream } = c.env;
    const session = stream.session as ServerHttp2Session | undefined;
    if (hasLeft(stream) || session === undefined) return TAKEN;
    const tunnel = tunnels.find(session);
    if (tunnel !== undefined && tunnel.hello === null) {
      tunnel.close(error);
      return TAKEN;
    }
    const code = (error as { code?: string }).code ?? "internal";
    const newcomer = newcomers.get(session);
    const connector = tunnel?.connectorId ?? newcomer?.connectorId;
    onRefused(code);
    log.warn("tunnel stream refused", {
      ...(connector === undefined ? {} : { connector }),
      externalIp: externalIpOf(session),
      path: c.req.path,
      code,
      error: error.message,
    });
    if (tunnel !== undefined) tunnels.opened(tunnel, "refusal");
    else if (newcomer?.stream === stream) stream.once("close", () => session.destroy());
    else session.destroy();
    const status = REFUSALS[code] ?? (/^(peer_)?certificate_/.test(code) ? 403 : 503);
    const body = JSON.stringify({ type: "about:blank", status, code, title: error.message });
    return new Response(body, { status, headers: { "content-type": "application/problem+json" } });
  }

  /** Only the leaf that TLS has verified counts; the store has the last word. */
  async function authenticate(session: ServerHttp2Session, newcomer: Newcomer): Promise<TunnelPeer> {
    const socket = session.socket as TLSSocket;
    const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined;
    if (certificate === undefined) {
      throw new TunnelError("certificate_missing", "Cannot open tunnel: no verified client certificate");
    }
    const { connectorId, serial, notAfter } = identityOf(certificate);
    newcomer.connectorId = connectorId;
    const externalIp = externalIpOf(session);
    tunnels.arriving(connectorId);
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
