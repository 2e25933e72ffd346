import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { addAbortSignal } from "node:stream";
import type { HeaderList, InformationalHead, ResponseHead } from "../../protocol/heads.ts";
import type { IngressCode } from "./error_table.ts";
import type { ErrorPages, ExchangeContext, ExchangeTarget } from "./exchange_context.ts";
import { IngressExchange } from "./exchange.ts";
import { objectOf } from "./http2_exchange.ts";
import type { IdleSetting, IdleWatch } from "./idle_sweep.ts";
import { headersOfStream } from "./response_headers.ts";
import { closeAfterAnswer, destroyWhenAborted, whenBodyEnds } from "./user_stream.ts";
import { SERVICE_RESTART, WebsocketBoundary } from "./websocket_boundary.ts";
import { isAgreedSwitch, websocketKey } from "./websocket_handshake.ts";

/** Key and answer are between the hop that made them and the backend (RFC 8441 section 5). */
const NOT_OF_USERS: ReadonlySet<string> = new Set(["sec-websocket-key"]);
const NOT_FOR_USERS: ReadonlySet<string> = new Set(["sec-websocket-accept"]);

/**
 * A WebSocket of a user who speaks HTTP/2 (RFC 8441), with a backend that speaks HTTP/1.1: the key is ours, and so is
 * the check of its answer. The stream's two directions are the connection's: END_STREAM is its FIN, a reset its reset.
 */
export class WebsocketStreamExchange extends IngressExchange {
  readonly #stream: ServerHttp2Stream;
  /** The user's `Accept`; all else of the handshake is forgotten, since many connections stay for hours. */
  readonly #accept: string | undefined;
  readonly #pages: ErrorPages;
  readonly #idle: IdleSetting;
  readonly #key = websocketKey();
  /** `asked`: what the user sends waits in the stream's window. `declined`: an ordinary response. */
  #phase: "asked" | "switched" | "declined" = "asked";
  #watch: IdleWatch | null = null;
  readonly #boundary = new WebsocketBoundary();
  #isLeaving = false;

  constructor(
    context: ExchangeContext,
    target: ExchangeTarget,
    pages: ErrorPages,
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    idle: IdleSetting,
  ) {
    super(context, target);
    this.#stream = stream;
    this.#accept = headers.accept;
    this.#pages = pages;
    this.#idle = idle;
    stream.on("close", () => {
      this.#watch?.stop();
      this.userClosed();
    });
    destroyWhenAborted(stream);
  }

  /** Sends the handshake on its way. */
  start(backendTarget: string, userHeaders: HeaderList): void {
    const headers = without(userHeaders, NOT_OF_USERS);
    headers.push("Sec-WebSocket-Key", this.#key, "Upgrade", "websocket", "Connection", "Upgrade");
    this.dispatch("GET", backendTarget, headers, "upgrade");
  }

  protected startBody(): void {
    const stream = this.#stream;
    stream.on("data", (bytes: Buffer) => {
      if (this.#watch !== null) this.#watch.active = true;
      if (!this.sendBody(bytes)) stream.pause();
    });
    whenBodyEnds(stream, this);
  }

  bodyEnded(): void {
    this.sendBodyEnd([]);
  }

  protected resumeBody(): void {
    if (this.#phase === "switched" && this.#stream.isPaused()) this.#stream.resume();
  }

  protected writeInformational(head: InformationalHead): void {
    this.#stream.additionalHeaders({ ":status": head.status, ...objectOf(head.headers) });
  }

  protected writeHead(head: ResponseHead): void {
    if (head.status === 101) return this.#switch(head);
    // To this user every 2xx would say that the WebSocket is open (RFC 8441 section 5).
    if (head.status < 300) throw new Error("Cannot decline a WebSocket with success");
    const headers = headersOfStream(head.status, this.finalHeaders(head));
    this.#phase = "declined";
    this.#stream.respond(headers, { endStream: !head.hasBody });
    this.#stream.on("drain", () => this.userDrained());
    this.sendBodyEnd([]);
  }

  #switch(head: ResponseHead): void {
    if (!isAgreedSwitch("websocket", this.#key, head.headers)) {
      throw new Error("Cannot open a WebSocket: backend has not agreed to it");
    }
    const headers = headersOfStream(200, without(this.finalHeaders(head), NOT_FOR_USERS));
    this.#stream.respond(headers);
    this.#phase = "switched";
    this.#stream.on("drain", () => this.userDrained());
    this.#watch = this.#idle.sweep.watch(this.#idle.afterMs, () => this.expire());
    this.startBody();
  }

  protected writeBody(bytes: Buffer): boolean {
    if (this.#watch !== null) this.#watch.active = true;
    const room = this.#stream.writableEnded || this.#stream.write(bytes);
    this.#boundary.push(bytes);
    if (this.#isLeaving) this.#leaveBetweenFrames();
    return room;
  }

  draining(): void {
    this.#isLeaving = true;
    this.#leaveBetweenFrames();
  }

  #leaveBetweenFrames(): void {
    if (this.state !== "answered" || this.#phase !== "switched" || !this.#boundary.isOpen) return;
    this.goneAway();
    this.#stream.end(SERVICE_RESTART);
    closeAfterAnswer(this.#stream);
  }

  protected writeEnd(): void {
    if (!this.#stream.writableEnded) this.#stream.end();
    if (this.#phase === "declined") closeAfterAnswer(this.#stream);
  }

  protected get untaken(): number {
    return this.#stream.writableLength;
  }

  protected writeError(code: IngressCode): void {
    const page = this.#pages(code, this.target.requestId, this.#accept, "CONNECT");
    this.noteStatus(page.status);
    if (this.#stream.destroyed || this.#stream.closed) return;
    this.#stream.respond(headersOfStream(page.status, page.headers));
    this.#stream.end(page.body);
    closeAfterAnswer(this.#stream);
  }

  protected stopBody(): void {}

  protected breakOff(): void {
    // CANCEL, the reset of RFC 8441 section 5, is what Node says for a signal; `close` would end the stream as if in peace.
    addAbortSignal(AbortSignal.abort(), this.#stream);
  }
}

function without(headers: HeaderList, names: ReadonlySet<string>): HeaderList {
  const kept: HeaderList = [];
  for (let i = 0; i < headers.length; i += 2) {
    if (!names.has(headers[i]!.toLowerCase())) kept.push(headers[i]!, headers[i + 1]!);
  }
  return kept;
}
