import { createServer, type IncomingMessage, type Server } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { Buffer } from "node:buffer";
import type { EndCause } from "../metrics/end_causes.ts";
import type { IngressHandlers, IngressLimits, Refusal, RefusalCode } from "./handlers.ts";
import { Pipelining, responseUnderWay } from "./pipelining.ts";

/** An HTTP/1.1 server that listens nowhere: connections come with `emit("connection", socket)`, TLS or not. */
export interface Http1 {
  readonly server: Server;
  /** Ends keep-alive: idle connections at once, the others after their response, all of them after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** Makes the server and starts its time-outs, so it must be closed even if no connection ever comes. */
export function createHttp1(handlers: IngressHandlers, limits: IngressLimits): Http1 {
  const server = createServer({
    // Uploads may take any time; who takes them over looks after silence (no total, but an idle limit).
    requestTimeout: 0,
    headersTimeout: limits.headersTimeoutMs,
    connectionsCheckingInterval: Math.min(5_000, limits.headersTimeoutMs),
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    maxHeaderSize: limits.maxHeaderBytes,
    insecureHTTPParser: false,
    noDelay: true,
    shouldUpgradeCallback: isUpgrade,
  });
  server.maxHeadersCount = limits.maxHeaders;
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  let isClosing = false;
  const pipelining = new Pipelining();
  const end = (socket: Duplex, cause: EndCause) => {
    if (socket.destroyed) return;
    limits.onEnded(cause);
    socket.destroy();
  };
  const taking = (handler: typeof handlers.onRequest): typeof handlers.onRequest => (req, res) => {
    const taken = pipelining.take(req, res);
    if (taken === "too_many") return end(req.socket, "pipelining");
    if (taken === "unwanted") return;
    if (isClosing) res.shouldKeepAlive = false;
    handler(req, res);
  };
  server.on("request", taking(handlers.onRequest));
  server.on("checkContinue", taking(handlers.onCheckContinue));
  // RFC 9110 section 10.1.1: an expectation that we do not know may be answered 417; ignoring it is what most do.
  server.on("checkExpectation", taking(handlers.onRequest));
  server.on("upgrade", (req, socket, first) => {
    // All that follows is of another protocol: nothing of this one may still be on its way.
    if (responseUnderWay(socket) !== undefined || !socket.writable) end(socket, "pipelining");
    else handlers.onUpgrade(req, socket, first);
  });
  // A proxy for everybody is what this is not.
  server.on(
    "connect",
    (_req: IncomingMessage, socket: Duplex) => answer(socket, handlers.refuse("bad_request")),
  );
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => {
    const code = refusalOf(error);
    if (code !== undefined) limits.onEnded(CAUSES[code]);
    if (code === undefined || !mayAnswer(socket)) socket.destroy();
    else answer(socket, handlers.refuse(code));
  });
  // Between requests only: nothing else sets a time for the socket.
  server.on("timeout", (socket: Socket) => {
    limits.onEnded("idle");
    socket.destroy();
  });
  // Never listens itself, but its checks for time-outs only start with this event.
  server.emit("listening");

  return {
    server,
    close(graceMs) {
      isClosing = true;
      return drain(server, sockets, graceMs);
    },
  };
}

/** Only a request that can become a WebSocket or the like; `h2c` offers and bodies stay ordinary requests. */
function isUpgrade(req: IncomingMessage): boolean {
  const { upgrade, "content-length": length, "transfer-encoding": coding } = req.headers;
  if (req.method !== "GET" || coding !== undefined || (length !== undefined && length !== "0")) return false;
  return upgrade !== undefined && !/\b(h2c|h2|tls\/[\d.]+|http\/[\d.]+)\b/i.test(upgrade);
}

const CAUSES: Readonly<Record<RefusalCode, EndCause>> = {
  bad_request: "head_malformed",
  header_too_large: "head_too_large",
  request_timeout: "head_timeout",
};

function refusalOf(error: NodeJS.ErrnoException): RefusalCode | undefined {
  const code = error.code ?? "";
  if (code === "HPE_HEADER_OVERFLOW") return "header_too_large";
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return "request_timeout";
  return code.startsWith("HPE_") ? "bad_request" : undefined;
}

/** A response under way must not get another one written into it, nor another one instead of it: only its own request may be at fault. */
function mayAnswer(socket: Duplex): boolean {
  const current = responseUnderWay(socket);
  if (current === undefined) return socket.writable;
  return socket.writable && !current.headersSent && !current.req.complete;
}

const REASONS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  408: "Request Timeout",
  431: "Request Header Fields Too Large",
};

function answer(socket: Duplex, { status, headers, body }: Refusal): void {
  let head = `HTTP/1.1 ${status} ${REASONS[status] ?? ""}\r\nconnection: close\r\n`;
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  socket.on("error", () => {});
  // Half-open is allowed on our sockets: the peer may keep its side, we do not.
  socket.end(Buffer.concat([Buffer.from(`${head}\r\n`, "latin1"), body]), () => socket.destroy());
}

/** How often connections that have become idle are looked for while closing, in milliseconds. */
const IDLE_CHECK_MS = 50;

/**
 * How long an idle connection stays open, in milliseconds, so that it ends with a response that says so: a request that is
 * on its way while we hang up would fail.
 */
const LAST_REQUEST_MS = 500;

async function drain(server: Server, sockets: ReadonlySet<Socket>, graceMs: number): Promise<void> {
  const begun = performance.now();
  const lastRequestMs = Math.min(LAST_REQUEST_MS, graceMs / 2);
  while (sockets.size > 0 && performance.now() < begun + graceMs) {
    await new Promise((resolve) => setTimeout(resolve, IDLE_CHECK_MS));
    if (performance.now() > begun + lastRequestMs) server.closeIdleConnections();
  }
  // Stops the checks for time-outs. That it never listened is not an error worth telling.
  server.close(() => {});
  // Upgraded connections too, of which the HTTP server knows no more.
  for (const socket of sockets) socket.destroy();
}
