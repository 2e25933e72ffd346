import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { HeaderList, InformationalHead, ResponseHead } from "../../protocol/heads.ts";
import type { IngressCode } from "./error_table.ts";
import type { ErrorPages, ExchangeContext, ExchangeTarget } from "./exchange_context.ts";
import { IngressExchange } from "./exchange.ts";
import { outgoingTrailers } from "./request_headers.ts";
import { keptTrailers } from "./request_trailers.ts";
import {
  checkHeader,
  headersOfStream,
  type HeaderTranslator,
  incomingHeaders,
  NO_LENGTH,
} from "./response_headers.ts";
import { closeAfterAnswer, destroyWhenAborted, whenBodyEnds } from "./user_stream.ts";

const NO_TRAILERS: HeaderList = [];

/** An exchange with a user who speaks HTTP/2. */
export class Http2Exchange extends IngressExchange {
  readonly #stream: ServerHttp2Stream;
  readonly #headers: IncomingHttpHeaders;
  readonly #pages: ErrorPages;
  #trailers: HeaderList = NO_TRAILERS;

  constructor(
    context: ExchangeContext,
    target: ExchangeTarget,
    pages: ErrorPages,
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
  ) {
    super(context, target);
    this.#stream = stream;
    this.#headers = headers;
    this.#pages = pages;
    stream.on("close", () => this.userClosed());
    destroyWhenAborted(stream);
  }

  override get acceptEncoding(): string | undefined {
    return this.#headers["accept-encoding"] as string | undefined;
  }

  /** Sends the request on its way. */
  start(backendTarget: string, headers: HeaderList, hasBody: boolean): void {
    this.dispatch(String(this.#headers[":method"]), backendTarget, headers, hasBody ? "body" : "nothing");
  }

  protected startBody(): void {
    const stream = this.#stream;
    stream.on("data", (bytes: Buffer) => {
      if (!this.sendBody(bytes)) stream.pause();
    });
    whenBodyEnds(stream, this);
  }

  bodyEnded(): void {
    this.sendBodyEnd(outgoingTrailers(keptTrailers(this.#stream)));
  }

  protected resumeBody(): void {
    if (this.#stream.isPaused()) this.#stream.resume();
  }

  protected writeInformational(head: InformationalHead): void {
    this.#stream.additionalHeaders({ ":status": head.status, ...objectOf(head.headers, this.translator) });
  }

  protected writeHead(head: ResponseHead): void {
    const headers = headersOfStream(head.status, this.finalHeaders(head));
    const stream = this.#stream;
    if (!head.hasBody) {
      stream.respond(headers, { endStream: true });
      return;
    }
    stream.respond(headers, { waitForTrailers: true });
    stream.on("wantTrailers", () => this.#sendTrailers());
    stream.on("drain", () => this.userDrained());
  }

  protected writeBody(bytes: Buffer): boolean {
    // Node has ended it where the status has no body, whatever the backend thinks.
    return this.#stream.writableEnded || this.#stream.write(bytes);
  }

  protected writeEnd(trailers: HeaderList): void {
    this.#trailers = trailers;
    if (!this.#stream.writableEnded) this.#stream.end();
  }

  protected get untaken(): number {
    return this.#stream.writableLength;
  }

  #sendTrailers(): void {
    try {
      this.#stream.sendTrailers(objectOf(this.#trailers));
    } catch {
      this.breakOff(); // Nobody else catches here: the broker must survive whatever a backend sends.
    }
  }

  protected writeError(code: IngressCode): void {
    const method = String(this.#headers[":method"]);
    const page = this.#pages(code, this.target.requestId, this.#headers.accept, method);
    this.noteStatus(page.status);
    if (this.#stream.destroyed || this.#stream.closed) return;
    this.#stream.respond(headersOfStream(page.status, page.headers));
    this.#stream.end(page.body);
  }

  protected stopBody(): void {
    closeAfterAnswer(this.#stream);
  }

  protected breakOff(): void {
    // Only this sends a reset: `close` with a code would end the body as if it were whole.
    this.#stream.destroy(new Error("Backend broke off"));
  }
}

/** Heads of 1xx and trailers for those calls of `node:http2` that take an object: names in lower case, several values gathered. */
export function objectOf(list: HeaderList, translator?: HeaderTranslator): Record<string, string | string[]> {
  const kept = incomingHeaders([...list], NO_LENGTH, translator);
  const result: Record<string, string | string[]> = {};
  for (let i = 0; i < kept.length; i += 2) {
    const name = kept[i]!.toLowerCase();
    checkHeader(name, kept[i + 1]!);
    const before = result[name];
    if (before === undefined) result[name] = kept[i + 1]!;
    else result[name] = Array.isArray(before) ? [...before, kept[i + 1]!] : [before, kept[i + 1]!];
  }
  return result;
}
