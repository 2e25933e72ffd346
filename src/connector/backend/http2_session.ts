import { connect } from "node:http2";
import type { ClientHttp2Session, ClientHttp2Stream, Settings } from "node:http2";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { BackendError } from "./errors.ts";
import { MAX_RESPONSE_HEAD_BYTES } from "./head_limit.ts";
import { notHttp2 } from "./http2_error.ts";
import type { Origin } from "./origin.ts";

/**
 * Response bytes that a stream may hold unread: what a slow user costs, and what a fast one may have under way. Far from every
 * round number, since backends on Node reset a response that fills the window to the byte instead of ending it.
 */
const STREAM_WINDOW_BYTES = 256 * 1024 + 5_555;
/** Given back as bytes arrive, so that it bounds no memory; large, so that it never slows streams down. */
const CONNECTION_WINDOW_BYTES = 64 * 1024 * 1024;
/** Most fields of a response head. */
const MAX_HEADERS = 256;
/** Node's own bound on a session is in megabytes; the windows of its streams are ours. */
const SESSION_MEMORY_MB = 4_096;
/** Streams at a time where the backend sets no limit. */
const MOST_STREAMS = 1_000;
/** A session without streams is closed after this time, in milliseconds. */
export const HTTP2_IDLE_MS = 60_000;
/** One that was told to close and has no streams may take so long: not every peer ends its half. Milliseconds. */
const LEAVE_MS = 5_000;
/**
 * Time between pings while streams are open, in milliseconds. TCP keep-alive finds dead hosts sooner; this finds hung
 * programs. gRPC servers send clients away that ping more often than every five minutes.
 */
const PING_MS = 310_000;

/** Who is told of what becomes of a session. */
export interface Http2SessionOwner {
  /** Its settings came, or a stream was closed: look whether there is room now. */
  sessionSettled(session: Http2Session): void;
  /** It is gone, or takes no new streams. `error`: it never worked. */
  sessionLeft(session: Http2Session, error: BackendError | null): void;
}

/** Time limits of a session, in milliseconds. */
export interface Http2SessionTimes {
  /** For the settings to come; 0: no limit. */
  setupMs: number;
  /** Without streams, until it is closed. */
  idleMs: number;
}

/** One HTTP/2 connection to a backend. It is `opening` until the backend has said its settings; `leaving` takes no new streams. */
export class Http2Session {
  readonly #session: ClientHttp2Session;
  readonly #socket: Socket;
  readonly #idleMs: number;
  readonly #owner: Http2SessionOwner;
  readonly #target: string;
  #state: "opening" | "open" | "leaving" | "gone" = "opening";
  #limit = MOST_STREAMS;
  #streams = 0;
  /** Of the newest GOAWAY: later streams were not looked at. */
  #lastStreamId = Number.POSITIVE_INFINITY;
  #pinging = false;
  #setupTimer: NodeJS.Timeout | null = null;
  #timer: NodeJS.Timeout | null = null;

  /** Takes a connected socket over; `setupMs` is for the settings to come, 0: no limit. */
  constructor(socket: Socket, origin: Origin, times: Http2SessionTimes, owner: Http2SessionOwner) {
    const { setupMs, idleMs } = times;
    this.#socket = socket;
    this.#idleMs = idleMs;
    this.#owner = owner;
    this.#target = origin.target;
    const scheme = origin.tls ? "https" : "http";
    this.#session = connect(
      `${scheme}://${origin.target}`,
      {
        createConnection: () => socket,
        maxSessionMemory: SESSION_MEMORY_MB,
        maxHeaderListPairs: MAX_HEADERS,
        maxReservedRemoteStreams: 0,
        strictSingleValueFields: false,
        settings: {
          enablePush: false,
          initialWindowSize: STREAM_WINDOW_BYTES,
          maxHeaderListSize: MAX_RESPONSE_HEAD_BYTES,
        },
      } as Parameters<typeof connect>[1],
    );
    this.#listen();
    if (setupMs > 0) this.#setupTimer = setTimeout(() => this.#tooSlow(setupMs), setupMs);
  }

  /** Why a connected socket is no HTTP/2 connection; null when it is one. */
  static refusal(socket: Socket, origin: Origin): BackendError | null {
    if (!origin.tls || (socket as TLSSocket).alpnProtocol === "h2") return null;
    return notHttp2(origin.target, "it did not choose it in the TLS handshake (ALPN)");
  }

  /** True when a stream can be opened now. */
  get hasRoom(): boolean {
    return this.#state === "open" && this.#streams < this.#limit && !this.#session.closed;
  }

  /** True once it is closed. */
  get isGone(): boolean {
    return this.#state === "gone";
  }

  /** True for streams that the backend has certainly not looked at (RFC 9113 section 6.8). */
  hasNotSeen(stream: ClientHttp2Stream): boolean {
    return stream.id !== undefined && stream.id > this.#lastStreamId;
  }

  /** Opens a stream; `released` is to be called once it is closed. Throws when `node:http2` refuses. */
  request(
    list: readonly string[],
    options: { endStream: boolean; waitForTrailers: boolean },
  ): ClientHttp2Stream {
    // Deno's types and older ones know objects only.
    const stream = this.#session.request(list as unknown as Record<string, string>, options);
    this.#streams++;
    return stream;
  }

  /** A stream of ours is closed. */
  released(): void {
    this.#streams--;
    if (this.#streams === 0) this.#watch();
    if (this.hasRoom) this.#owner.sessionSettled(this);
  }

  /** Takes no new streams and ends with the last one. */
  close(): void {
    if (this.#state === "gone") return;
    if (this.#state === "opening") return this.destroy();
    this.#state = "leaving";
    this.#session.close();
    this.#watch();
  }

  /** Ends it and its streams at once. */
  destroy(): void {
    const isClosing = this.#session.closed;
    this.#session.destroy();
    // It would wait for the other side to end its half.
    if (isClosing) this.#socket.destroy();
    this.#left(null);
  }

  #listen(): void {
    const session = this.#session;
    session.on("connect", () => session.setLocalWindowSize(CONNECTION_WINDOW_BYTES));
    session.on("remoteSettings", (settings: Settings) => this.#settled(settings));
    session.on("goaway", (_code: number, lastStreamId: number) => {
      this.#lastStreamId = Math.min(this.#lastStreamId, lastStreamId);
      if (this.#state !== "open") return;
      this.#state = "leaving";
      this.#watch();
      this.#owner.sessionLeft(this, null);
    });
    session.on("error", (error) => this.#left(error));
    session.on("close", () => this.#left(null));
  }

  #settled(settings: Settings): void {
    this.#limit = Math.min(settings.maxConcurrentStreams ?? MOST_STREAMS, MOST_STREAMS);
    if (this.#state === "opening") {
      this.#state = "open";
      this.#stopSetup();
      this.#watch();
    }
    this.#owner.sessionSettled(this);
  }

  /** One timer for all: idle sessions are closed, then ended; busy ones pinged. */
  #watch(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#state === "gone") return;
    const idle = this.#streams === 0;
    const idleMs = this.#state === "leaving" ? LEAVE_MS : this.#idleMs;
    this.#timer = setTimeout(() => this.#look(idle), idle ? idleMs : PING_MS);
  }

  /** `wasIdle`: there was no stream when the timer was set; if there is one now, its time begins. */
  #look(wasIdle: boolean): void {
    if ((this.#streams === 0) !== wasIdle) return this.#watch();
    if (wasIdle) return this.#idled();
    if (this.#pinging) return this.#session.destroy(new Error("no answer to a ping"));
    this.#pinging = true;
    this.#session.ping((error) => this.#pinging = error !== null);
    this.#watch();
  }

  #idled(): void {
    if (this.#state === "leaving") return this.destroy();
    this.close();
    this.#owner.sessionLeft(this, null);
  }

  #tooSlow(setupMs: number): void {
    const message = `Cannot connect to backend "${this.#target}": no HTTP/2 settings within ${setupMs} ms`;
    this.#left(new BackendError("backend_connect_timeout", message, { retryable: true }));
    this.#session.destroy();
  }

  #stopSetup(): void {
    if (this.#setupTimer !== null) clearTimeout(this.#setupTimer);
    this.#setupTimer = null;
  }

  #left(cause: Error | null): void {
    const before = this.#state;
    if (before === "gone") return;
    this.#state = "gone";
    this.#stopSetup();
    if (this.#timer !== null) clearTimeout(this.#timer);
    const error = before !== "opening" || cause instanceof BackendError
      ? cause as BackendError | null
      : notHttp2(
        this.#target,
        cause?.message ?? "it closed the connection at the first frame",
        cause ?? undefined,
      );
    this.#owner.sessionLeft(this, before === "opening" ? error : null);
  }
}
