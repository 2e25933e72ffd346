import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";
import type { HeaderList, InformationalHead, ResponseHead } from "../../protocol/heads.ts";
import type { Flushable } from "../../tunnel/flush_queue.ts";
import type { IngressCode } from "./error_table.ts";
import type { ErrorPages, ExchangeContext, ExchangeTarget } from "./exchange_context.ts";
import { IngressExchange } from "./exchange.ts";
import { outgoingTrailers } from "./request_headers.ts";
import { resetConnection } from "./reset_connection.ts";
import { incomingHeaders, incomingTrailers, NO_LENGTH } from "./response_headers.ts";

/**
 * A body of no more is handed to Node as text, a character a byte: that becomes one piece with the head, and copying so little
 * costs less than a second piece in the system call.
 */
const TEXT_BYTES = 2_048;

/** An exchange with a user who speaks HTTP/1.1. */
export class Http1Exchange extends IngressExchange implements Flushable {
  readonly #req: IncomingMessage;
  readonly #res: ServerResponse;
  readonly #pages: ErrorPages;
  #listensForDrain = false;
  /**
   * The head and pieces of the body wait for its end or that of this turn, whichever is first, to leave in one system call.
   * `head`: nothing but the head. `held`: the first piece, which is mostly the last, too. `corked`: more have come.
   */
  #writes: "direct" | "head" | "held" | "corked" = "direct";
  #held: Buffer | null = null;

  constructor(
    context: ExchangeContext,
    target: ExchangeTarget,
    pages: ErrorPages,
    req: IncomingMessage,
    res: ServerResponse,
  ) {
    super(context, target);
    this.#req = req;
    this.#res = res;
    this.#pages = pages;
    res.on("close", () => this.userClosed());
  }

  override get acceptEncoding(): string | undefined {
    return this.#req.headers["accept-encoding"] as string | undefined;
  }

  /** Sends the request on its way. */
  start(backendTarget: string, headers: HeaderList, hasBody: boolean): void {
    this.dispatch(this.#req.method!, backendTarget, headers, hasBody ? "body" : "nothing");
    if (hasBody && this.lane === null) this.context.pausedUsers.add(this.#req, this.#req.socket);
  }

  protected startBody(): void {
    const req = this.#req;
    req.on("data", (bytes: Buffer) => {
      if (this.sendBody(bytes)) return;
      req.pause();
      this.context.pausedUsers.add(req, req.socket);
    });
    req.on("end", () => this.sendBodyEnd(outgoingTrailers(req.rawTrailers)));
    req.on("error", () => {}); // `close` of the response follows.
  }

  protected resumeBody(): void {
    if (this.#req.isPaused()) this.#req.resume();
  }

  protected writeInformational(head: InformationalHead): void {
    if (this.#req.httpVersionMinor === 0) return; // HTTP/1.0 knows none (RFC 9110 section 15.2).
    if (head.status === 100) this.#res.writeContinue();
    else this.#res.writeInformation(head.status, incomingHeaders(head.headers, NO_LENGTH, this.translator));
  }

  protected writeHead(head: ResponseHead): void {
    const headers = this.finalHeaders(head);
    try {
      this.#res.writeHead(head.status, head.reason, headers);
    } catch (error) {
      if ((error as { code?: string }).code !== "ERR_HTTP_TRAILER_INVALID") throw error;
      // Trailers are announced and cannot follow, of a response with a length or without a body, or over HTTP/1.0.
      const all = headers.filter((_, i) => headers[i & ~1]!.toLowerCase() !== "trailer");
      this.#res.writeHead(head.status, head.reason, all);
    }
    if (!head.hasBody) return;
    // Node keeps a head until there is a body, which of a stream of events may come much later.
    this.#writes = "head";
    this.context.turns.add(this);
  }

  protected writeBody(bytes: Buffer): boolean {
    // What is held back says nothing of room: a user who does not read must be felt with the next piece at the latest.
    if (this.#writes === "direct" && this.#res.writableNeedDrain) return this.#write(bytes);
    if (this.#writes === "direct" || this.#writes === "head") {
      if (this.#writes === "direct") this.context.turns.add(this);
      this.#writes = "held";
      this.#held = bytes;
      return true;
    }
    if (this.#writes === "held") {
      this.#writes = "corked";
      this.#res.socket?.cork();
      this.#writeHeld();
    }
    return this.#write(bytes);
  }

  flush(): void {
    if (this.#res.writableEnded) return; // `end` has let go of everything.
    if (this.#writes === "corked") this.#res.socket?.uncork();
    else if (this.#writes === "head") this.#res.flushHeaders();
    else this.#writeHeld();
    this.#writes = "direct";
  }

  protected writeEnd(trailers: HeaderList): void {
    if (trailers.length > 0) this.#res.addTrailers(pairs(incomingTrailers(trailers)));
    if (this.#held === null) this.#res.end();
    else if (this.#held.length <= TEXT_BYTES) this.#res.end(this.#held.toString("latin1"), "latin1");
    else this.#res.end(this.#held);
    this.#held = null;
  }

  protected get untaken(): number {
    return this.#res.writableLength;
  }

  #writeHeld(): void {
    const held = this.#held;
    this.#held = null;
    if (held !== null) this.#write(held);
  }

  /**
   * On a corked socket: else Node gathers the chunks in the response, says that there is no room for them, and tells of no
   * `drain` where they turn out to be less than fills the socket.
   */
  #write(bytes: Buffer): boolean {
    const { socket } = this.#res;
    socket?.cork();
    const hasRoom = this.#res.write(bytes);
    socket?.uncork();
    if (hasRoom) return true;
    if (!this.#listensForDrain) {
      this.#listensForDrain = true;
      this.#res.on("drain", () => this.userDrained());
    }
    return false;
  }

  protected writeError(code: IngressCode): void {
    const { status, headers, body } = this.#pages(
      code,
      this.target.requestId,
      this.#req.headers.accept,
      this.#req.method!,
    );
    this.noteStatus(status);
    // Who has stopped in the middle of a request cannot begin another on this connection.
    const all = code === "user_idle" ? [...headers, "connection", "close"] : headers;
    // A reason that was refused before is still in `res`: it takes another to replace it.
    this.#res.writeHead(status, STATUS_CODES[status]!, all as string[]).end(body);
  }

  protected stopBody(): void {
    // Read on to nowhere: closing on a user who is still sending would take the response away from them.
    this.#req.resume();
  }

  protected breakOff(): void {
    const { socket } = this.#res;
    if (socket !== null) resetConnection(socket);
    this.#res.destroy();
  }
}

function pairs(list: HeaderList): [string, string][] {
  const result: [string, string][] = [];
  for (let i = 0; i < list.length; i += 2) result.push([list[i]!, list[i + 1]!]);
  return result;
}
