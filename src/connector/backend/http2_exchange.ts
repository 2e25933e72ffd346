import { STATUS_CODES } from "node:http";
import { constants } from "node:http2";
import type { ClientHttp2Stream } from "node:http2";
import { addAbortSignal, Readable } from "node:stream";
import type { AppTimeouts } from "../../protocol/app.ts";
import { exchangeError } from "./exchange_error.ts";
import { http2Error } from "./http2_error.ts";
import { type Http2Head, http2Trailers, withoutPseudo } from "./http2_head.ts";
import type { Http2Session } from "./http2_session.ts";
import type { BackendExchange, BackendFailure, BackendHandler, HeaderList } from "./port.ts";

/** `queued`: no stream yet, or not any more. `sent`: on a stream. `answered`: the final head came. `over`: nothing more is told. */
type State = "queued" | "sent" | "answered" | "over";

/** Body bytes kept so that a request which the backend has not looked at can be sent again. */
const REPLAY_BYTES = 64 * 1024;
/** How often a request is put on a stream. */
const MOST_ATTEMPTS = 4;

const NO_TRAILERS: HeaderList = [];
/** Makes `node:http2` reset a stream with CANCEL; its `close(code)` would first say that the body is whole. */
const CANCELLED: AbortSignal = AbortSignal.abort();

/** What an exchange needs of the adapter that it runs on. */
export interface Http2ExchangeOwner {
  /** It has no stream: find one and call `start`. */
  place(exchange: Http2Exchange): void;
  /** It is over. */
  left(exchange: Http2Exchange): void;
}

/** A stream that knows whether the backend said that its response is whole. */
interface NotingStream extends ClientHttp2Stream {
  sallyportWhole?: boolean;
}

/**
 * `push(null)` for END_STREAM comes while the stream is open, that for a reset comes when it is closed; `end` looks the same for
 * both where the request was sent already (no `aborted` then), and with RST_STREAM NO_ERROR there is no code either.
 */
function pushNoting(this: NotingStream, chunk: unknown, encoding?: BufferEncoding): boolean {
  if (chunk === null && !this.closed) this.sallyportWhole = true;
  return Readable.prototype.push.call(this, chunk, encoding);
}

/** One exchange on a stream of HTTP/2. */
export class Http2Exchange implements BackendExchange {
  readonly #handler: BackendHandler;
  readonly #timeouts: AppTimeouts;
  readonly #owner: Http2ExchangeOwner;
  readonly #head: Http2Head;
  #state: State = "queued";
  #stream: NotingStream | null = null;
  #session: Http2Session | null = null;
  #timer: NodeJS.Timeout | null = null;
  #paused = false;
  /** What is kept of the body: all of it while `queued`, and as long as it may have to be sent again; null: no more. */
  #kept: Uint8Array[] | null = [];
  #keptBytes = 0;
  #bodyEnded: boolean;
  #trailers: HeaderList = NO_TRAILERS;
  #responseTrailers: HeaderList = NO_TRAILERS;
  /** Bytes of the response body to come; below 0: its head did not say how many there are. */
  #missing = -1;
  #attempts = 0;
  /** A failure not told yet. */
  #failure: BackendFailure | null = null;

  constructor(
    handler: BackendHandler,
    timeouts: AppTimeouts,
    owner: Http2ExchangeOwner,
    head: Http2Head,
    hasBody: boolean,
  ) {
    this.#handler = handler;
    this.#timeouts = timeouts;
    this.#owner = owner;
    this.#head = head;
    this.#bodyEnded = !hasBody;
  }

  /** Puts the request on a stream of `session`, which has room. */
  start(session: Http2Session): void {
    const kept = this.#kept!;
    const endStream = this.#bodyEnded && kept.length === 0 && this.#trailers.length === 0;
    let stream: NotingStream;
    try {
      stream = session.request(this.#head.list, {
        endStream,
        waitForTrailers: this.#head.mayTrail && !endStream,
      });
    } catch (error) {
      return this.fail(exchangeError("backend_bad_request", error));
    }
    this.#attempts++;
    this.#state = "sent";
    this.#stream = stream;
    this.#session = session;
    this.#listen(stream, session, endStream);
    this.#arm(this.#timeouts.responseHeadMs);
    let room = true;
    for (const chunk of kept) room = stream.write(chunk);
    if (this.#keptBytes > REPLAY_BYTES) this.#kept = null;
    if (this.#bodyEnded && !endStream) stream.end();
    else if (room && kept.length > 0) queueMicrotask(() => this.#drained(stream));
  }

  write(chunk: Uint8Array): boolean {
    if (this.#state === "over" || this.#bodyEnded) return true;
    this.#keep(chunk);
    if (this.#stream === null) return false; // Credit bounds what is kept; `drained` comes with a stream.
    if (this.#state === "answered") this.#timer?.refresh();
    return this.#stream.write(chunk);
  }

  end(trailers: HeaderList = NO_TRAILERS): void {
    if (this.#state === "over" || this.#bodyEnded) return;
    this.#bodyEnded = true;
    if (this.#head.mayTrail) this.#trailers = trailers;
    this.#stream?.end();
  }

  resume(): void {
    if (!this.#paused || this.#state === "over") return;
    this.#paused = false;
    this.#stream?.resume();
  }

  abort(): void {
    this.#failure = null;
    if (this.#state === "over") return;
    const stream = this.#stream;
    this.#finish();
    if (stream !== null) cancel(stream);
  }

  /** Ends it with an error. `begun` false: no byte of the request has left. */
  fail(cause: Error | null, begun: boolean = this.#state !== "queued"): void {
    if (this.#state === "over") return;
    const stream = this.#stream;
    const error = http2Error(cause, stream?.rstCode ?? constants.NGHTTP2_NO_ERROR, this.#state);
    this.#failure = error.toFailure(begun);
    this.#finish();
    if (stream !== null) cancel(stream);
    // Deferred: a request that cannot be sent fails inside `dispatch`, before the caller holds the exchange.
    queueMicrotask(() => {
      if (this.#failure !== null) this.#handler.failed(this.#failure);
    });
  }

  #keep(chunk: Uint8Array): void {
    if (this.#kept === null) return;
    this.#kept.push(chunk);
    this.#keptBytes += chunk.length;
    if (this.#keptBytes > REPLAY_BYTES && this.#state !== "queued") this.#kept = null;
  }

  #listen(stream: NotingStream, session: Http2Session, endStream: boolean): void {
    stream.push = pushNoting;
    stream.once("close", () => {
      this.#cut(stream, null);
      session.released();
    });
    stream.on("error", (error) => this.#cut(stream, error));
    // A reset while the request is still being sent; not where the response was whole before it.
    stream.on("aborted", () => {
      if (stream.sallyportWhole !== true) this.#cut(stream, null);
    });
    stream.on("headers", (_headers, _flags, raw: string[]) => this.#informed(stream, raw));
    stream.once("response", (_headers, flags, raw: string[]) => this.#answered(stream, flags, raw));
    stream.once("trailers", (_headers, _flags, raw: string[]) => this.#responseTrailers = withoutPseudo(raw));
    stream.once("end", () => this.#ended(stream));
    if (endStream) return;
    stream.on("drain", () => this.#drained(stream));
    if (this.#head.mayTrail) stream.once("wantTrailers", () => this.#sendTrailers(stream));
  }

  #informed(stream: NotingStream, raw: readonly string[]): void {
    if (stream !== this.#stream) return;
    this.#timer?.refresh();
    const status = Number(valueOf(raw, ":status"));
    if (status !== 101) this.#handler.informational(status, withoutPseudo(raw));
  }

  #answered(stream: NotingStream, flags: number, raw: readonly string[]): void {
    if (stream !== this.#stream) return;
    this.#state = "answered";
    this.#kept = null;
    this.#arm(this.#timeouts.idleMs);
    const status = Number(valueOf(raw, ":status"));
    const ended = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    this.#missing = Number(valueOf(raw, "content-length") ?? -1);
    this.#handler.response(status, STATUS_CODES[status] ?? "", withoutPseudo(raw), ended);
    // Not before: on Deno pieces come ahead of the head that they follow.
    stream.on("data", (chunk: Uint8Array) => this.#received(stream, chunk));
  }

  #received(stream: NotingStream, chunk: Uint8Array): void {
    if (stream !== this.#stream) return;
    this.#timer?.refresh();
    this.#missing -= chunk.length;
    if (this.#handler.data(chunk)) return;
    this.#paused = true;
    stream.pause();
  }

  #ended(stream: NotingStream): void {
    if (stream !== this.#stream) return;
    if (!this.#isWhole(stream) || this.#state !== "answered") return this.#cut(stream, null);
    const early = !this.#bodyEnded;
    this.#finish();
    // The whole answer came before the whole request: the rest has no reader. Without an error this is RST_STREAM NO_ERROR.
    if (early) stream.destroy();
    this.#handler.end(this.#responseTrailers);
  }

  /** Backends on Node reset a response whose last byte fills the window, with NO_ERROR: some of them have said how long it is. */
  #isWhole(stream: NotingStream): boolean {
    return stream.sallyportWhole === true ||
      (this.#missing === 0 && stream.rstCode === constants.NGHTTP2_NO_ERROR);
  }

  /** The stream is lost; a request that the backend has not looked at is sent again. */
  #cut(stream: NotingStream, cause: Error | null): void {
    if (stream !== this.#stream) return;
    const unseen = this.#state === "sent" &&
      (stream.rstCode === constants.NGHTTP2_REFUSED_STREAM || this.#session!.hasNotSeen(stream));
    if (!unseen || this.#kept === null || this.#attempts >= MOST_ATTEMPTS) return this.fail(cause, !unseen);
    this.#stream = null;
    this.#session = null;
    this.#state = "queued";
    this.#arm(0);
    if (!stream.destroyed) stream.destroy();
    this.#owner.place(this);
  }

  #drained(stream: NotingStream): void {
    if (stream === this.#stream && !this.#bodyEnded) this.#handler.drained();
  }

  #sendTrailers(stream: NotingStream): void {
    try {
      stream.sendTrailers(http2Trailers(this.#trailers));
    } catch (error) {
      this.fail(exchangeError("backend_bad_request", error));
    }
  }

  #arm(ms: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = ms > 0 ? setTimeout(() => this.#stalled(), ms) : null;
  }

  /** The time is up, but only a backend that was free to go on is at fault. */
  #stalled(): void {
    if (this.#state === "over") return;
    const sending = this.#state === "sent" && !this.#bodyEnded && !this.#stream!.writableNeedDrain;
    if (sending || this.#paused) return void this.#timer?.refresh();
    this.fail(exchangeError(this.#state === "answered" ? "backend_idle_timeout" : "backend_timeout"));
  }

  #finish(): void {
    this.#state = "over";
    this.#stream = null;
    this.#session = null;
    this.#kept = null;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#owner.left(this);
  }
}

/** Tells the backend at once that nobody wants the answer (RST_STREAM CANCEL). */
function cancel(stream: ClientHttp2Stream): void {
  if (!stream.destroyed) addAbortSignal(CANCELLED, stream);
}

function valueOf(raw: readonly string[], name: string): string | undefined {
  for (let i = 0; i < raw.length; i += 2) if (raw[i] === name) return raw[i + 1];
  return undefined;
}
