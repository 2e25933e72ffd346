import type { Dispatcher } from "undici";
import type { ExchangeOwner } from "./app_backend.ts";
import type { BackendExchange, BackendFailure, BackendHandler, HeaderList } from "./port.ts";
import { RequestBody } from "./request_body.ts";
import { isUnaskedContinue, undiciError } from "./undici_error.ts";

/**
 * `queued`: no byte has left. `sent`: undici is writing or has written the request. `answered`: the final head
 * came. `over`: ended, failed or aborted; the handler hears no more.
 */
type State = "queued" | "sent" | "answered" | "over";

const NO_TRAILERS: HeaderList = [];

/** One exchange on undici: at once what undici calls and what the caller holds. */
export class UndiciExchange implements BackendExchange, Dispatcher.DispatchHandler {
  /** Where undici reads the request body; null when there is none. */
  readonly body: RequestBody | null;
  readonly #handler: BackendHandler;
  readonly #owner: ExchangeOwner;
  #state: State = "queued";
  #controller: Dispatcher.DispatchController | null = null;
  #paused = false;
  /** What undici delivered although paused: the last bytes before a backend's FIN. At most one socket buffer. */
  #held: Uint8Array[] | null = null;
  /** Trailers, while the end waits for what is held. */
  #heldEnd: HeaderList | null = null;
  /** A failure not told yet. */
  #failure: BackendFailure | null = null;

  constructor(handler: BackendHandler, owner: ExchangeOwner, hasBody: boolean) {
    this.#handler = handler;
    this.#owner = owner;
    this.body = hasBody ? new RequestBody(handler) : null;
  }

  write(chunk: Uint8Array): boolean {
    return this.#state === "over" || this.body === null || this.body.write(chunk);
  }

  end(): void {
    if (this.#state !== "over") this.body?.finish();
  }

  resume(): void {
    if (!this.#paused || this.#state === "over") return;
    this.#paused = false;
    if (this.#held !== null) this.#releaseHeld();
    else this.#controller?.resume();
  }

  abort(): void {
    this.#failure = null;
    if (this.#state === "over") return;
    this.#finish();
    this.#controller?.abort(ABORTED);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#state === "over") controller.abort(ABORTED);
    else this.#state = "sent";
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    _headers: unknown,
    reason?: string,
  ): void {
    if (this.#state === "over") return;
    const headers = latin1List(controller.rawHeaders as RawBytes[] | null);
    if (status < 200) return this.#handler.informational(status, headers);
    this.#state = "answered";
    this.#handler.response(status, latin1Reason(reason ?? ""), headers);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    // undici flushes its parser with an empty piece after a pause.
    if (this.#state === "over" || chunk.length === 0) return;
    if (this.#paused) {
      (this.#held ??= []).push(chunk);
    } else if (!this.#handler.data(chunk)) {
      this.#paused = true;
      controller.pause();
    }
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    if (this.#state === "over") return;
    const raw = controller.rawTrailers as RawBytes[] | null;
    const trailers = raw === null || raw.length === 0 ? NO_TRAILERS : latin1List(raw);
    if (this.#held !== null) {
      this.#heldEnd = trailers;
      return;
    }
    this.#finish();
    this.#handler.end(trailers);
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    if (this.#state === "over") return;
    if (isUnaskedContinue(error)) this.#owner.sentUnaskedContinue();
    this.#failure = undiciError(error, this.#state).toFailure(this.#begun());
    this.#finish();
    // Deferred: a request that undici refuses fails inside `dispatch`, before the caller holds the exchange.
    queueMicrotask(() => {
      if (this.#failure !== null) this.#handler.failed(this.#failure);
    });
  }

  /** undici writes the head together with the first piece of the body. */
  #begun(): boolean {
    return this.#state !== "queued" && (this.body === null || this.body.begun);
  }

  #finish(): void {
    this.#state = "over";
    this.#held = null;
    this.body?.abandon();
    this.#owner.left();
  }

  #releaseHeld(): void {
    const held = this.#held!;
    while (held.length > 0) {
      if (!this.#handler.data(held.shift()!)) {
        this.#paused = true;
        return;
      }
      if ((this.#state as State) === "over") return;
    }
    this.#held = null;
    if (this.#heldEnd === null) return this.#controller?.resume();
    const trailers = this.#heldEnd;
    this.#finish();
    this.#handler.end(trailers);
  }
}

/** A Buffer of Node, by the method that is quickest for names and values of a few bytes. */
interface RawBytes {
  latin1Slice(): string;
}

const ABORTED = new Error("given up");

function latin1List(raw: RawBytes[] | null): HeaderList {
  if (raw === null) return [];
  const list: HeaderList = new Array(raw.length);
  for (let i = 0; i < raw.length; i++) list[i] = raw[i]!.latin1Slice();
  return list;
}

/** undici decodes the reason as UTF-8; a header list has one character a byte. */
function latin1Reason(reason: string): string {
  // deno-lint-ignore no-control-regex
  return /^[\x00-\x7f]*$/.test(reason) ? reason : Buffer.from(reason, "utf8").toString("latin1");
}
