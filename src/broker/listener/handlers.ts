import type { Buffer } from "node:buffer";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import type { Socket } from "node:net";
import type { EndCause } from "../metrics/end_causes.ts";

/** What takes over an accepted connection: any `net.Server`, `tls.Server` or `http.Server`, listening or not. */
export interface ConnectionTarget {
  emit(event: "connection", socket: Socket): boolean;
}

/** Why a request cannot even be handed to a handler. Names are those of the error pages. */
export type RefusalCode = "bad_request" | "header_too_large" | "request_timeout";

/** A whole response, ready to be written. */
export interface Refusal {
  readonly status: number;
  /** Names and values in turn. */
  readonly headers: readonly string[];
  readonly body: Uint8Array;
}

/** What the ingress does with what its listeners have understood. None of these may throw. */
export interface IngressHandlers {
  /** An HTTP/1.1 request; also one with an Upgrade that this program ignores. */
  onRequest(req: IncomingMessage, res: ServerResponse): void;
  /** An HTTP/1.1 request with `Expect: 100-continue`: nothing has been answered yet. */
  onCheckContinue(req: IncomingMessage, res: ServerResponse): void;
  /** An HTTP/1.1 upgrade: a `GET` without a body. `head` is what came after the request head. */
  onUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** An HTTP/2 request, or an extended CONNECT (`:protocol`, RFC 8441). `rawHeaders`: names and values in turn. */
  onStream(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    flags: number,
    rawHeaders: readonly string[],
  ): void;
  /** What to answer on a connection whose bytes are not a request. */
  refuse(code: RefusalCode): Refusal;
}

/** Bounds of what a client may ask of the ingress. */
export interface IngressLimits {
  /** Largest request head in bytes. */
  readonly maxHeaderBytes: number;
  /** Most header lines of a request. */
  readonly maxHeaders: number;
  /** Time in milliseconds for a whole request head. */
  readonly headersTimeoutMs: number;
  /** Time in milliseconds that an HTTP/1.1 connection may be idle between requests. */
  readonly keepAliveTimeoutMs: number;
  /** Time in milliseconds that an HTTP/2 connection may be without a stream. */
  readonly sessionIdleTimeoutMs: number;
  /** Streams that one HTTP/2 connection may have open at a time. */
  readonly maxConcurrentStreams: number;
  /** Body bytes that an HTTP/2 client may send on one stream, and on all of its connection, before any is read. */
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  /** Told why a connection was ended where it was neither the user's wish nor ours. */
  readonly onEnded: (cause: EndCause) => void;
}

/** Limits of design section 4, and what goes with them. */
export const DEFAULT_LIMITS: IngressLimits = {
  maxHeaderBytes: 65_536,
  maxHeaders: 200,
  headersTimeoutMs: 20_000,
  keepAliveTimeoutMs: 75_000,
  sessionIdleTimeoutMs: 75_000,
  maxConcurrentStreams: 256,
  streamWindowBytes: 262_144,
  connectionWindowBytes: 1_048_576,
  onEnded: () => {},
};
