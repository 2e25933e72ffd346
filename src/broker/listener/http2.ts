import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { IngressHandlers, IngressLimits } from "./handlers.ts";

/** An HTTP/2 server that listens nowhere: TLS connections whose ALPN is `h2` come with `emit("connection", socket)`. */
export interface Http2 {
  readonly server: Http2Server;
  /** Sessions open now. */
  readonly sessions: ReadonlySet<ServerHttp2Session>;
  /** Tells clients to go away, lets open streams end for `graceMs`, then destroys what is left. */
  close(graceMs: number): Promise<void>;
}

/** Pseudo headers of an extended CONNECT: `:method`, `:protocol`, `:scheme`, `:authority`, `:path`. */
const PSEUDO_HEADERS = 5;

/**
 * Makes the server. Only `stream` events are used: a `request` listener would bring in the compatibility layer,
 * which costs half as much again per request and refuses extended CONNECT.
 */
export function createHttp2(handlers: IngressHandlers, limits: IngressLimits): Http2 {
  const server = createServer({
    // Backends send what they like twice; whether that makes sense is between them and the user.
    strictSingleValueFields: false,
    maxHeaderListPairs: limits.maxHeaders + PSEUDO_HEADERS,
    settings: {
      // RFC 8441. Browsers that see it open their WebSockets this way and do not fall back.
      enableConnectProtocol: true,
      maxConcurrentStreams: limits.maxConcurrentStreams,
      maxHeaderListSize: limits.maxHeaderBytes,
      initialWindowSize: limits.streamWindowBytes,
    },
  });
  const sessions = new Set<ServerHttp2Session>();
  let closing = false;

  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
    // Without a listener an error of one client would end the process; `close` follows it and says enough.
    session.on("error", () => {});
    session.setLocalWindowSize(limits.connectionWindowBytes);
    // Silent for long: GOAWAY, so that an idle connection ends, while a stream that is silent for a reason (server-sent
    // events) goes on for as long as it likes.
    session.setTimeout(limits.sessionIdleTimeoutMs, () => session.close());
    if (closing) session.close();
  });
  server.on("sessionError", () => {});
  // Declared for streams of either side; those of a server are ServerHttp2Streams.
  server.on("stream", handlers.onStream as unknown as Parameters<typeof server.on>[1]);

  return {
    server,
    sessions,
    async close(graceMs) {
      closing = true;
      const gone = [...sessions].map((session) => new Promise((resolve) => session.once("close", resolve)));
      if (graceMs === 0) { for (const session of sessions) session.destroy(); }
      else for (const session of sessions) session.close();
      const timer = setTimeout(() => {
        for (const session of sessions) session.destroy();
      }, graceMs);
      await Promise.all(gone);
      clearTimeout(timer);
    },
  };
}
