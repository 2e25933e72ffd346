import type { Dispatcher } from "undici";
import type { BackendError } from "./errors.ts";
import { mayBeSentTwice } from "./idempotent.ts";
import type { BackendExchange, BackendFailure, BackendHandler, BackendRequest, HeaderList } from "./port.ts";
import { RequestBody } from "./request_body.ts";
import { isUnaskedContinue, undiciError } from "./undici_error.ts";

/**
 * `queued`: no byte has left. `sent`: undici is writing or has written the request. `answered`: the final head
 * came. `over`: ended, failed or aborted; the handler hears no more.
 */
type State = "queued" | "sent" | "answered" | "over";

const NO_TRAILERS: HeaderList = [];

/** What an exchange needs of the adapter that it runs on. */
export interface UndiciOwner {
  /** Called once: the exchange is over, and undici has let go of it. */
  left(exchange: UndiciExchange): void;
  sentUnaskedContinue(): void;
  /** True while the error of a connection is being told. */
  readonly connectionFailing: boolean;
  /** True while the end of a connection is being told that has carried responses before. */
  readonly usedConnectionClosing: boolean;
  /** Sends the exchange's request once more, on a fresh connection. */
  again(exchange: UndiciExchange): void;
}

/** One exchange on undici: at once what undici calls and what the caller holds. */
export class UndiciExchange implements BackendExchange, Dispatcher.DispatchHandler {
  /** Where undici reads the request body; null when there is none. */
  readonly body: RequestBody | null;
  readonly request: BackendRequest;
  readonly #handler: BackendHandler;
  readonly #owner: UndiciOwner;
  #state: State = "queued";
  /** undici has it: also in its queue, which nothing is taken out of. */
  #given = false;
  #isLeft = false;
  #controller: Dispatcher.DispatchController | null = null;
  #paused = false;
  /** Bytes were lost: the response can only fail. */
  #cut = false;
  /** Whether only its connection ends the response; null while the head can still say it. */
  #endsWithConnection: boolean | null = null;
  /** An informational head has come. */
  #informed = false;
  /** Sent for the second time. */
  #repeated = false;
  /** A failure not told yet. */
  #failure: BackendFailure | null = null;

  constructor(handler: BackendHandler, owner: UndiciOwner, request: BackendRequest) {
    this.#handler = handler;
    this.#owner = owner;
    this.request = request;
    this.body = request.hasBody ? new RequestBody(handler) : null;
  }

  /** True once undici was given it. */
  get wasGiven(): boolean {
    return this.#given;
  }

  /** It is given to undici now. */
  giving(): void {
    this.#given = true;
  }

  /** Ends it with an error of ours. */
  fail(error: BackendError): void {
    this.onResponseError(null, error);
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
    this.#controller?.resume();
  }

  abort(): void {
    this.#failure = null;
    if (this.#state === "over") return;
    // undici keeps one that waits until its turn comes, and says so then.
    const isKept = this.#given && this.#state === "queued";
    this.#end();
    if (!isKept) this.#leave();
    this.#controller?.abort(ABORTED);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#state !== "over") {
      this.#state = "sent";
      return;
    }
    controller.abort(ABORTED);
    this.#leave();
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    _headers: unknown,
    reason?: string,
  ): void {
    if (this.#state === "over") return;
    const headers = latin1List(controller.rawHeaders as RawBytes[] | null);
    if (status < 200) {
      this.#informed = true;
      return this.#handler.informational(status, headers);
    }
    this.#state = "answered";
    this.#handler.response(status, latin1Reason(reason ?? ""), headers);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    // undici flushes its parser with an empty piece after a pause.
    if (this.#state === "over" || chunk.length === 0) return;
    if (this.#paused) {
      // Only from a connection that is being reset: undici empties it without regard to the pause.
      this.#cut = true;
    } else if (!this.#handler.data(chunk)) {
      this.#paused = true;
      this.#letGoOfHead(controller);
      controller.pause();
    }
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    if (this.#state === "over") return;
    // To undici a reset ends a response without length as well as a FIN does; to us it is a cut one. Of any other the end is
    // its own, whichever connection it may be that fails.
    if (
      this.#cut ||
      (this.#owner.connectionFailing && (this.#endsWithConnection ?? endsWithConnection(controller)))
    ) {
      return this.onResponseError(controller, CUT);
    }
    const raw = controller.rawTrailers as RawBytes[] | null;
    this.#finish();
    this.#handler.end(raw === null || raw.length === 0 ? NO_TRAILERS : latin1List(raw));
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    if (this.#state === "over") return this.#leave();
    if (isUnaskedContinue(error)) this.#owner.sentUnaskedContinue();
    const failure = undiciError(error, this.#state);
    if (failure.code === "backend_reset" && this.#mayRepeat()) {
      this.#repeated = true;
      this.#state = "queued";
      this.#controller = null;
      return this.#owner.again(this);
    }
    this.#failure = failure.toFailure(this.#begun());
    this.#finish();
    // Deferred: a request that undici refuses fails inside `dispatch`, before the caller holds the exchange.
    queueMicrotask(() => {
      if (this.#failure !== null) this.#handler.failed(this.#failure);
    });
  }

  /**
   * Who is read slowly may last for hours: undici's header list, slices of what the socket gave with them, would keep all 64 KiB
   * of that for as long.
   */
  #letGoOfHead(controller: Dispatcher.DispatchController): void {
    this.#endsWithConnection ??= endsWithConnection(controller);
    controller.rawHeaders = null;
  }

  /** Only before the first byte of an answer; the backend may have closed the connection before the request reached it. */
  #mayRepeat(): boolean {
    return this.#state === "sent" && !this.#repeated && !this.#informed &&
      this.#owner.usedConnectionClosing && mayBeSentTwice(this.request);
  }

  /** undici writes the head together with the first piece of the body. */
  #begun(): boolean {
    if (this.#repeated) return true;
    return this.#state !== "queued" && (this.body === null || this.body.begun);
  }

  #finish(): void {
    this.#end();
    this.#leave();
  }

  #end(): void {
    this.#state = "over";
    this.body?.abandon();
  }

  #leave(): void {
    if (this.#isLeft) return;
    this.#isLeft = true;
    this.#owner.left(this);
  }
}

/** A Buffer of Node, by the method that is quickest for names and values of a few bytes. */
interface RawBytes {
  latin1Slice(): string;
}

const ABORTED = new Error("given up");
const CUT = new Error("connection reset");

/** True for a response that says neither its length nor that it comes in chunks (RFC 9112 section 6.3). */
function endsWithConnection(controller: Dispatcher.DispatchController): boolean {
  const raw = latin1List(controller.rawHeaders as RawBytes[] | null);
  return !raw.some((text, i) => i % 2 === 0 && /^(content-length|transfer-encoding)$/i.test(text));
}

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
