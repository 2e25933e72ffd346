import { Pool } from "undici";
import type { Dispatcher } from "undici";
import type { ConnectorApp } from "../../protocol/app.ts";
import type { ExchangeOwner } from "./app_backend.ts";
import type { Dialled } from "./dial.ts";
import type { Dialler } from "./dialler.ts";
import { noTurn } from "./errors.ts";
import { exchangeError } from "./exchange_error.ts";
import { MAX_RESPONSE_HEAD_BYTES } from "./head_limit.ts";
import type { BackendExchange, BackendHandler, BackendRequest } from "./port.ts";
import { UndiciExchange } from "./undici_exchange.ts";
import type { UndiciOwner } from "./undici_exchange.ts";
import { Waiting } from "./waiting.ts";

/** An idle connection closes after this long where the backend does not state a time, in milliseconds. */
const KEEP_ALIVE_MS = 4_000;
/** Longest time that a backend may have its connections kept idle, in milliseconds. */
const KEEP_ALIVE_MAX_MS = 60_000;

/** Ordinary HTTP/1.1 to one backend, through undici's `dispatch`. Not every request can go this way: see `adapterFor`. */
export class UndiciAdapter implements UndiciOwner {
  readonly #pool: Pool;
  readonly #newPool: () => Pool;
  /** For requests that are sent again: each on a connection of its own. */
  #fresh: Pool | null = null;
  readonly #servername: string;
  readonly #owner: ExchangeOwner;
  readonly #connections: number;
  /** Exchanges that undici has: at most one for each connection, since what is in its own queue can neither leave nor be timed. */
  #given = 0;
  readonly #waiting: Waiting<UndiciExchange>;
  #isRetiring = false;
  /** See `UndiciOwner`. */
  connectionFailing = false;
  usedConnectionClosing = false;

  /** `waitMs`: longest wait for a connection. */
  constructor(
    app: ConnectorApp,
    dialler: Dialler,
    { connections, waitMs }: { connections: number; waitMs: number },
    owner: ExchangeOwner,
  ) {
    this.#owner = owner;
    this.#connections = connections;
    this.#waiting = new Waiting(waitMs, (exchange) => exchange.fail(noTurn(app.origin, waitMs)));
    this.#servername = app.tls.serverName ?? dialler.origin.host;
    this.#newPool = () =>
      new Pool(app.origin, {
        connections,
        connect: ((_options: unknown, callback: Dialled) => this.#dial(dialler, callback)) as never,
        pipelining: 1,
        allowH2: false,
        maxHeaderSize: MAX_RESPONSE_HEAD_BYTES,
        keepAliveTimeout: KEEP_ALIVE_MS,
        keepAliveMaxTimeout: KEEP_ALIVE_MAX_MS,
        headersTimeout: app.timeouts.responseHeadMs,
        bodyTimeout: app.timeouts.idleMs,
      });
    this.#pool = this.#newPool();
  }

  dispatch(request: BackendRequest, handler: BackendHandler): BackendExchange {
    const exchange = new UndiciExchange(handler, this, request);
    if (this.#given < this.#connections && this.#waiting.size === 0) this.#give(exchange);
    else this.#waiting.add(exchange);
    return exchange;
  }

  #give(exchange: UndiciExchange): void {
    this.#given++;
    exchange.giving();
    const { request } = exchange;
    const options = {
      path: request.target,
      method: request.method as Dispatcher.HttpMethod,
      headers: request.headers,
      body: exchange.body,
      // Without it the TLS name would follow the Host header, and each change of it cost a connection.
      servername: this.#servername,
      // Without it undici closes the connection after each HEAD, and after a body with an unusual method.
      reset: false,
    };
    this.#pool.dispatch(options, exchange);
  }

  again(exchange: UndiciExchange): void {
    const { request } = exchange;
    this.#fresh ??= this.#newPool();
    const options = {
      path: request.target,
      method: request.method as Dispatcher.HttpMethod,
      headers: request.headers,
      servername: this.#servername,
      reset: true, // The next one gets another.
    };
    this.#fresh.dispatch(options, exchange);
  }

  left(exchange: UndiciExchange): void {
    if (exchange.wasGiven) this.#given--;
    else this.#waiting.delete(exchange);
    // Not at once: undici is still busy with the end of this one.
    if (this.#waiting.size > 0) queueMicrotask(this.#giveNext);
    else if (this.#isRetiring) this.retire();
    this.#owner.left();
  }

  readonly #giveNext = (): void => {
    while (this.#given < this.#connections) {
      const exchange = this.#waiting.shift();
      if (exchange === null) break;
      this.#give(exchange);
    }
    if (this.#isRetiring) this.retire();
  };

  sentUnaskedContinue(): void {
    this.#owner.sentUnaskedContinue();
  }

  /** Closes idle connections; those in use close when their exchange has ended. */
  retire(): void {
    this.#isRetiring = this.#waiting.size > 0;
    if (this.#isRetiring) return;
    this.#waiting[Symbol.dispose]();
    void this.#pool.close().catch(ignore);
  }

  /** Closes every connection; exchanges that run fail with `backend_closed`. */
  async destroy(): Promise<void> {
    const error = exchangeError("backend_closed");
    for (const exchange of this.#waiting.all()) exchange.fail(error);
    this.#waiting[Symbol.dispose]();
    await Promise.all([this.#pool.destroy(error), this.#fresh?.destroy(error)]);
  }

  #dial(dialler: Dialler, dialled: Dialled): void {
    dialler.dial((error, socket) => {
      // Before undici's own listener, so that it is known when undici tells the exchange.
      socket?.on("error", this.#onConnectionError);
      socket?.on("close", () => {
        this.usedConnectionClosing = socket.bytesRead > 0;
        queueMicrotask(() => this.usedConnectionClosing = false);
      });
      dialled(error, socket);
    });
  }

  readonly #onConnectionError = () => {
    this.connectionFailing = true;
    queueMicrotask(() => this.connectionFailing = false);
  };
}

function ignore(): void {}
