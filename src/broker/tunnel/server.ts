import { constants } from "node:crypto";
import {
  createSecureServer,
  type Http2SecureServer,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { SecureVersion } from "node:tls";
import type { Hono } from "hono";
import { STREAM_WINDOW } from "../../protocol/limits.ts";
import { serveStreams, type StreamEnv } from "./hono_streams.ts";

/** TLS material of the tunnel listener, PEM. */
export interface TunnelCredentials {
  key: string;
  cert: string;
  /** Trust anchors for client certificates. */
  ca: string;
}

/** Settings of the tunnel listener. */
export interface TunnelServerOptions {
  credentials: TunnelCredentials;
  minVersion: SecureVersion;
  maxLanes: number;
  onTlsError: (error: Error) => void;
  /** True once the peer of a session has said hello; one that has not in `greetingMs` is sent away. */
  hasGreeted?: (session: ServerHttp2Session) => boolean;
  greetingMs?: number;
}

/** Memory that nghttp2 may use for one tunnel, in its unit of megabytes: lanes by the thousand need more than 10. */
const SESSION_MEMORY_MB = 1024;
/** A resumed session would skip the verification of a certificate that may have been revoked since. */
const NO_RESUMPTION = { sessionTimeout: 1, secureOptions: constants.SSL_OP_NO_TICKET };
const HANDSHAKE_TIMEOUT_MS = 10_000;
const GREETING_MS = 30_000;

/** The HTTP/2 server of tunnels. It does not listen: sockets come by `emit("connection")`. */
export interface TunnelServer {
  server: Http2SecureServer;
  /** Serves new connections with these credentials from now on. */
  setCredentials(credentials: TunnelCredentials): void;
  /** Ends all sessions. */
  close(): void;
}

/** Makes the tunnel server around its Hono application. */
export function createTunnelServer(app: Hono<StreamEnv>, options: TunnelServerOptions): TunnelServer {
  const sessions = new Set<ServerHttp2Session>();
  const server = createSecureServer({
    ...options.credentials,
    minVersion: options.minVersion,
    ALPNProtocols: ["h2"],
    requestCert: true,
    rejectUnauthorized: true,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    ...NO_RESUMPTION,
    maxSessionMemory: SESSION_MEMORY_MB,
    // An authenticated connector may close thousands of lanes at once; nghttp2 would end the session.
    streamResetBurst: 1_000_000,
    streamResetRate: 1_000_000,
    settings: {
      initialWindowSize: STREAM_WINDOW,
      maxConcurrentStreams: options.maxLanes + 64,
      enablePush: false,
    },
  });
  const serve = serveStreams(app);
  server.on("stream", (stream, headers) => serve(stream as ServerHttp2Stream, headers));
  server.on("session", (session) => {
    sessions.add(session);
    // Until there is a tunnel nobody notices that a peer is gone.
    const greeting = setTimeout(() => {
      if (options.hasGreeted?.(session) === false) session.destroy();
    }, options.greetingMs ?? GREETING_MS);
    session.on("close", () => {
      clearTimeout(greeting);
      sessions.delete(session);
    });
    session.on("error", options.onTlsError);
  });
  server.on("sessionError", options.onTlsError);
  server.on("tlsClientError", (error, socket) => {
    options.onTlsError(error);
    socket.destroy();
  });
  return {
    server,
    setCredentials: (credentials) =>
      server.setSecureContext({ ...credentials, minVersion: options.minVersion, ...NO_RESUMPTION }),
    close() {
      for (const session of sessions) session.destroy();
    },
  };
}
