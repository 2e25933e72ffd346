import { ClientRequest } from "node:http";
import type { IncomingMessage, InformationEvent, RequestOptions } from "node:http";
import type { Duplex } from "node:stream";
import type { AppTimeouts } from "../../protocol/app.ts";
import type { BackendError } from "./errors.ts";
import { exchangeError } from "./exchange_error.ts";
import { MAX_RESPONSE_HEAD_BYTES } from "./head_limit.ts";
import { mayBeSentTwice } from "./idempotent.ts";
import type { DiallingAgent } from "./node_http.ts";
import { framedHeaders } from "./node_http_head.ts";
import { nodeHttpError } from "./node_http_error.ts";
import type { BackendExchange, BackendFailure, BackendHandler, BackendRequest, HeaderList } from "./port.ts";
import { SMALL_BYTES, SmallPieces } from "./small_pieces.ts";

/**
 * `queued`: no byte has left. `sent`: on a connection. `answered`: the final head came. `switched`: it was a 101 that we
 * had asked for, and both sides now send what they like. `over`: nothing more is told.
 */
type State = "queued" | "sent" | "answered" | "switched" | "over";

/** `node:http` writes a head that leaves before the body in UTF-8; bytes must stay what they are. */
class Latin1Request extends ClientRequest {
  _send(data: unknown, encoding?: string | null, ...rest: unknown[]): boolean {
    // @ts-ignore: not in the types, but the one place where every byte passes; a test looks at the bytes that arrive.
    return super._send(data, encoding ?? "latin1", ...rest);
  }
}

/** What an exchange tells the adapter that it runs on. */
export interface NodeHttpOwner {
  /** It waits for a connection. */
  waits(exchange: NodeHttpExchange): void;
  /** It does not any more. */
  hasConnection(exchange: NodeHttpExchange): void;
  /** Called once: it is over. */
  left(exchange: NodeHttpExchange): void;
}

/** One exchange on `node:http`. */
export class NodeHttpExchange implements BackendExchange {
  readonly #handler: BackendHandler;
  readonly #timeouts: AppTimeouts;
  readonly #owner: NodeHttpOwner;
  #state: State = "queued";
  #agent: DiallingAgent | null = null;
  #request: Latin1Request | null = null;
  #response: IncomingMessage | null = null;
  /** The connection itself, after a change of protocol. */
  #socket: Duplex | null = null;
  #upgrade = false;
  #timer: NodeJS.Timeout | null = null;
  #paused = false;
  #bodyEnded = false;
  /** Pieces of the body that wait for the one that is leaving: a backend that stalls would have them pile up. */
  readonly #small = new SmallPieces();
  #smallLeaving = false;
  /** A failure not told yet. */
  #failure: BackendFailure | null = null;
  /** Sends the request once more, on a fresh connection; null where it may not be, or was. */
  #again: (() => void) | null = null;
  #repeated = false;

  constructor(handler: BackendHandler, timeouts: AppTimeouts, owner: NodeHttpOwner) {
    this.#handler = handler;
    this.#timeouts = timeouts;
    this.#owner = owner;
  }

  /** `fresh`: an agent that uses no connection twice. */
  start(agent: DiallingAgent, head: BackendRequest, host: string, fresh: DiallingAgent): void {
    if (mayBeSentTwice(head)) this.#again = () => this.#send(fresh, head, host);
    this.#send(agent, head, host);
  }

  #send(agent: DiallingAgent, head: BackendRequest, host: string): void {
    this.#agent = agent;
    this.#owner.waits(this);
    const options: RequestOptions = {
      agent,
      method: head.method,
      path: head.target,
      headers: framedHeaders(head, host),
      setHost: false,
      maxHeaderSize: MAX_RESPONSE_HEAD_BYTES,
    };
    try {
      this.#request = new Latin1Request(options as never);
    } catch (error) {
      return this.#fail(exchangeError("backend_bad_request", error));
    }
    this.#upgrade = head.upgrade === true;
    this.#listen(this.#request);
    this.#bodyEnded = !head.hasBody;
    if (head.hasBody) this.#request.flushHeaders();
    else this.#request.end();
  }

  write(chunk: Uint8Array): boolean {
    if (this.#socket !== null) return this.#state === "over" || this.#socket.write(chunk);
    if (this.#state === "over" || this.#bodyEnded) return true;
    const request = this.#request!;
    if (chunk.length > SMALL_BYTES) {
      this.#writeSmall();
      return request.write(chunk);
    }
    const full = this.#small.add(chunk);
    if (full !== null) request.write(full);
    // The first small piece leaves at once, the others when it has left.
    if (!this.#smallLeaving) this.#writeSmall();
    return !request.writableNeedDrain;
  }

  #writeSmall(): void {
    const pieces = this.#small.take();
    if (pieces === null) return;
    this.#smallLeaving = true;
    this.#request!.write(pieces, this.#smallLeft);
  }

  readonly #smallLeft = (): void => {
    this.#smallLeaving = false;
    if (this.#state !== "over" && !this.#bodyEnded) this.#writeSmall();
  };

  end(trailers?: HeaderList): void {
    if (this.#socket !== null) return void this.#socket.end();
    if (this.#state === "over" || this.#bodyEnded) return;
    this.#writeSmall();
    this.#bodyEnded = true;
    if (trailers !== undefined && trailers.length > 0) {
      try {
        this.#request!.addTrailers(pairs(trailers));
      } catch (error) {
        return this.#fail(exchangeError("backend_bad_request", error));
      }
    }
    this.#request!.end();
  }

  resume(): void {
    if (!this.#paused || this.#state === "over") return;
    this.#paused = false;
    (this.#socket ?? this.#response)?.resume();
  }

  abort(): void {
    this.#failure = null;
    if (this.#state === "over") return;
    this.#finish();
    this.#socket?.destroy();
    this.#request?.destroy();
  }

  /** Ends it with an error of ours. */
  fail(error: BackendError): void {
    this.#fail(error);
  }

  #listen(request: Latin1Request): void {
    request.maxHeadersCount = 0;
    request.once("socket", () => this.#sent());
    request.on("information", (info: InformationEvent) => this.#informed(info));
    request.once("response", (response: IncomingMessage) => this.#answered(response));
    request.once("upgrade", (response, socket, first) => this.#switched(response, socket, first));
    request.on("drain", () => {
      if (this.#state !== "over" && !this.#bodyEnded) this.#handler.drained();
    });
    request.on("error", (error) => this.#broken(request, error));
    // With a response there may be bytes of it to come, buffered while paused: its own events tell.
    request.once("close", () => {
      if (this.#response === null && this.#socket === null) {
        this.#broken(request, new Error("socket hang up"));
      }
    });
  }

  /** A backend may close a connection that it has kept for us just when the request is on its way. */
  #broken(request: Latin1Request, cause: Error): void {
    if (request !== this.#request) return; // It has been sent again.
    const again = this.#again;
    const isReset = again !== null && this.#state === "sent" && request.reusedSocket &&
      nodeHttpError(cause, this.#state).code === "backend_reset";
    if (!isReset) return this.#fail(cause);
    this.#again = null;
    this.#repeated = true;
    this.#arm(0);
    this.#state = "queued";
    again();
  }

  #sent(): void {
    if (this.#state !== "queued") return;
    this.#state = "sent";
    this.#owner.hasConnection(this);
    this.#arm(this.#timeouts.responseHeadMs);
  }

  #informed(info: InformationEvent): void {
    if (this.#state === "over") return;
    this.#timer?.refresh();
    this.#again = null;
    this.#handler.informational(info.statusCode, info.rawHeaders);
  }

  #answered(response: IncomingMessage): void {
    if (this.#state === "over") return;
    // Without an `Upgrade` it comes as a response, and the connection would be used again.
    if (response.statusCode === 101) {
      return this.#fail(exchangeError("backend_bad_response", "a 101 that does not say to which protocol"));
    }
    this.#state = "answered";
    this.#response = response;
    this.#arm(this.#timeouts.idleMs);
    response.on("data", (chunk: Uint8Array) => this.#received(response, chunk));
    response.once("end", () => this.#ended(response));
    response.on("error", (error) => this.#fail(error));
    response.once("close", () => this.#fail(new Error("aborted")));
    this.#handler.response(response.statusCode!, response.statusMessage ?? "", response.rawHeaders);
  }

  #switched(response: IncomingMessage, socket: Duplex, first: Uint8Array): void {
    if (this.#state === "over") return void socket.destroy();
    if (!this.#upgrade) {
      socket.destroy();
      return this.#fail(exchangeError("backend_bad_response", "a 101 to no upgrade of ours"));
    }
    this.#state = "switched";
    this.#arm(0);
    this.#socket = socket;
    // Each side may end its own direction and still be told the rest of the other.
    socket.allowHalfOpen = true;
    socket.on("data", (chunk: Uint8Array) => this.#receivedRaw(socket, chunk));
    socket.once("end", () => {
      if (this.#state !== "over") this.#handler.end([]);
    });
    socket.on("drain", () => {
      if (this.#state !== "over") this.#handler.drained();
    });
    socket.on("error", (error) => this.#fail(error));
    socket.once("close", () => {
      if (this.#state === "over") return;
      if (socket.readableEnded && socket.writableFinished) this.#finish();
      else this.#fail(new Error("aborted"));
    });
    this.#handler.response(101, response.statusMessage ?? "", response.rawHeaders);
    if (first.length > 0) this.#receivedRaw(socket, first);
  }

  #receivedRaw(socket: Duplex, chunk: Uint8Array): void {
    if (this.#state === "over" || this.#handler.data(chunk)) return;
    this.#paused = true;
    socket.pause();
  }

  #received(response: IncomingMessage, chunk: Uint8Array): void {
    if (this.#state === "over") return;
    this.#timer?.refresh();
    if (this.#handler.data(chunk)) return;
    this.#paused = true;
    response.pause();
  }

  #ended(response: IncomingMessage): void {
    if (this.#state === "over") return;
    if (!response.complete) return this.#fail(new Error("aborted"));
    const early = !this.#bodyEnded;
    this.#finish();
    // The whole answer came before the whole request: the rest has no reader, as on undici.
    if (early) this.#request!.destroy();
    this.#handler.end(response.rawTrailers);
  }

  #arm(ms: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = ms > 0 ? setTimeout(() => this.#stalled(), ms) : null;
  }

  /** The time is up, but only a backend that was free to go on is at fault. */
  #stalled(): void {
    if (this.#state === "over") return;
    const sending = this.#state === "sent" && !this.#bodyEnded && !this.#request!.writableNeedDrain;
    if (sending || this.#paused) return void this.#timer?.refresh();
    this.#fail(exchangeError(this.#state === "answered" ? "backend_idle_timeout" : "backend_timeout"));
  }

  #fail(cause: Error): void {
    if (this.#state === "over") return;
    this.#failure = nodeHttpError(cause, this.#state).toFailure(
      this.#repeated || this.#state !== "queued",
    );
    this.#finish();
    this.#socket?.destroy();
    this.#request?.destroy();
    // Deferred: a request that node:http refuses fails inside `dispatch`, before the caller holds the exchange.
    queueMicrotask(() => {
      if (this.#failure !== null) this.#handler.failed(this.#failure);
    });
  }

  #finish(): void {
    if (this.#state === "queued" && this.#request !== null) this.#agent!.forget(this.#request);
    this.#state = "over";
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#owner.left(this);
  }
}

function pairs(list: HeaderList): [string, string][] {
  const result: [string, string][] = [];
  for (let i = 0; i < list.length; i += 2) result.push([list[i]!, list[i + 1]!]);
  return result;
}
