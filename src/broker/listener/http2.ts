import { constants, createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import { performance } from "node:perf_hooks";
import type { EndCause } from "../metrics/end_causes.ts";
import { ControlFrames } from "./control_frames.ts";
import { Farewell } from "./farewell.ts";
import type { IngressHandlers, IngressLimits } from "./handlers.ts";

/** An HTTP/2 server that listens nowhere: TLS connections whose ALPN is `h2` come with `emit("connection", socket)`. */
export interface Http2 {
  readonly server: Http2Server;
  /** Sessions open now. */
  readonly sessions: ReadonlySet<ServerHttp2Session>;
  /** Tells each client to go away at a moment that loses no request, lets open streams end, and destroys the rest after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** How often sessions are looked at that are to leave, milliseconds. */
const FAREWELL_CHECK_MS = 50;

/** Pseudo headers of an extended CONNECT: `:method`, `:protocol`, `:scheme`, `:authority`, `:path`. */
const PSEUDO_HEADERS = 5;

/** Ends sessions that only cost, and says why a session was ended, by us or by the HTTP/2 library. */
function watch(session: ServerHttp2Session, limits: IngressLimits): void {
  let told = false;
  const tell = (cause: EndCause | undefined) => {
    if (told || cause === undefined) return;
    told = true;
    limits.onEnded(cause);
  };
  // Without a listener an error of one client would end the process.
  session.on("error", (error) => tell(causeOf(error)));
  const end = (cause: EndCause, code: number) => {
    tell(cause);
    session.destroy(undefined, code);
  };
  const frames = new ControlFrames(performance.now());
  const count = () => {
    if (!frames.take(performance.now())) end("http2_ping_flood", constants.NGHTTP2_ENHANCE_YOUR_CALM);
  };
  session.on("ping", count);
  session.on("remoteSettings", count);
  // A head that never ends is not told of; only that no request ever came.
  const timer = setTimeout(() => end("head_timeout", constants.NGHTTP2_NO_ERROR), limits.headersTimeoutMs);
  session.once("stream", () => clearTimeout(timer));
  const closed = function (this: Socket): void {
    clearTimeout(timer);
    const { errored } = this;
    // Neither the peer nor we have ended it, at least not first: a peer that was still sending answers with a reset.
    const isUnasked = !this.readableEnded && !session.closed && (errored === null || this.writableEnded);
    // The session tells its error, if it does, after the socket. Where its own limits (resets, empty and unknown frames, ...)
    // are exceeded, the library says so to nobody else.
    if (isUnasked || isHttp2Error(errored)) setImmediate(tell, "http2_flood");
  };
  session.socket.once("close", closed);
}

function isHttp2Error(error: Error | null): boolean {
  return (error as NodeJS.ErrnoException | null)?.code?.startsWith("ERR_HTTP2") === true;
}

/** Numbers of errors of nghttp2: flooding, and too many CONTINUATION frames. */
const FLOODS: ReadonlySet<number | undefined> = new Set([-904, -905]);

function causeOf({ code, errno }: NodeJS.ErrnoException): EndCause | undefined {
  if (FLOODS.has(errno) || code === "ERR_HTTP2_TOO_MANY_INVALID_FRAMES") return "http2_flood";
  return isHttp2Error({ code } as never) ? "http2_protocol_error" : undefined;
}

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
  const farewells = new Map<ServerHttp2Session, Farewell>();
  /** The grace of the end, milliseconds, once that has begun. */
  let endsWithin: number | undefined;

  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => {
      sessions.delete(session);
      farewells.delete(session);
    });
    watch(session, limits);
    session.setLocalWindowSize(limits.connectionWindowBytes);
    // Silent for long: GOAWAY, so that an idle connection ends, while a stream that is silent for a reason (server-sent
    // events) goes on for as long as it likes.
    session.setTimeout(limits.sessionIdleTimeoutMs, () => {
      if (!session.closed) limits.onEnded("idle");
      session.close();
    });
    // It may bring its first request along.
    if (endsWithin !== undefined) farewells.set(session, new Farewell(session, endsWithin));
  });
  server.on("sessionError", () => {});
  // Declared for streams of either side; those of a server are ServerHttp2Streams.
  server.on("stream", handlers.onStream as unknown as Parameters<typeof server.on>[1]);

  return {
    server,
    sessions,
    async close(graceMs) {
      endsWithin = graceMs;
      const destroyAll = () => {
        for (const session of sessions) session.destroy();
      };
      const timer = setTimeout(destroyAll, graceMs);
      if (graceMs === 0) destroyAll();
      for (const session of sessions) farewells.set(session, new Farewell(session, graceMs));
      const checks = setInterval(() => {
        for (const farewell of farewells.values()) farewell.check();
      }, FAREWELL_CHECK_MS);
      while (sessions.size > 0) await Promise.all([...sessions].map(closed));
      clearInterval(checks);
      clearTimeout(timer);
    },
  };
}

function closed(session: ServerHttp2Session): Promise<void> {
  return new Promise((resolve) => session.once("close", () => resolve()));
}
