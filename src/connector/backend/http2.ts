import type { Socket } from "node:net";
import type { ConnectorApp } from "../../protocol/app.ts";
import type { ExchangeOwner } from "./app_backend.ts";
import type { Dialler } from "./dialler.ts";
import { type BackendError, noTurn } from "./errors.ts";
import { exchangeError } from "./exchange_error.ts";
import { Http2Exchange } from "./http2_exchange.ts";
import type { Http2ExchangeOwner } from "./http2_exchange.ts";
import { type Http2Head, http2Head } from "./http2_head.ts";
import { Http2Session } from "./http2_session.ts";
import type { Http2SessionOwner } from "./http2_session.ts";
import type { BackendExchange, BackendHandler, BackendRequest } from "./port.ts";
import { Waiting } from "./waiting.ts";

/** Most connections to one backend; another is made only when the streams of all are in use. */
const MOST_SESSIONS = 16;

/** HTTP/2 to one backend, over TLS or in the clear: few connections with many streams, for gRPC and what else asks for it. */
export class Http2Adapter implements Http2SessionOwner, Http2ExchangeOwner {
  readonly #app: ConnectorApp;
  readonly #dialler: Dialler;
  readonly #owner: ExchangeOwner;
  readonly #host: string;
  readonly #sessions = new Set<Http2Session>();
  /** Those that end with their last stream. */
  readonly #leaving = new Set<Http2Session>();
  /** The one being made. */
  #opening: Http2Session | "dialling" | null = null;
  readonly #running = new Set<Http2Exchange>();
  /** Those without a stream; `AppBackend` bounds them. */
  readonly #waiting: Waiting<Http2Exchange>;
  readonly #idleMs: number;
  #closed = false;

  /** `waitMs`: longest wait for a stream; `idleMs`: a connection without streams is closed after it. */
  constructor(
    app: ConnectorApp,
    dialler: Dialler,
    { waitMs, idleMs }: { waitMs: number; idleMs: number },
    owner: ExchangeOwner,
  ) {
    this.#idleMs = idleMs;
    this.#waiting = new Waiting(waitMs, (exchange) => exchange.fail(noTurn(app.origin, waitMs), false));
    this.#app = app;
    this.#dialler = dialler;
    this.#owner = owner;
    this.#host = new URL(app.origin).host;
  }

  dispatch(request: BackendRequest, handler: BackendHandler): BackendExchange {
    let head: Http2Head | null = null;
    try {
      head = http2Head(request, this.#dialler.origin.tls ? "https" : "http", this.#host);
    } catch {
      // Told below, as every failure is: after the caller holds the exchange.
    }
    const exchange = new Http2Exchange(handler, this.#app.timeouts, this, head ?? NO_HEAD, request.hasBody);
    this.#running.add(exchange);
    if (head === null) exchange.fail(exchangeError("backend_bad_request"));
    else this.place(exchange);
    return exchange;
  }

  place(exchange: Http2Exchange): void {
    if (this.#closed) return exchange.fail(exchangeError("backend_closed"));
    if (this.#waiting.size === 0) {
      for (const session of this.#sessions) {
        if (session.hasRoom) return exchange.start(session);
      }
    }
    this.#waiting.add(exchange);
    this.#dial();
  }

  left(exchange: Http2Exchange): void {
    this.#running.delete(exchange);
    this.#waiting.delete(exchange);
    this.#owner.left();
  }

  sessionSettled(session: Http2Session): void {
    if (this.#opening === session) {
      this.#opening = null;
      this.#sessions.add(session);
    }
    while (session.hasRoom) {
      const exchange = this.#waiting.shift();
      if (exchange === null) break;
      exchange.start(session);
    }
    if (this.#waiting.size > 0) this.#dial();
  }

  sessionLeft(session: Http2Session, error: BackendError | null): void {
    this.#sessions.delete(session);
    if (session.isGone) this.#leaving.delete(session);
    else this.#leaving.add(session);
    if (this.#opening === session) this.#opening = null;
    if (error !== null) this.#failWaiting(error);
    else if (this.#waiting.size > 0) this.#dial();
  }

  /** Closes the connections, all idle: call it when the last exchange has ended. */
  retire(): void {
    this.#waiting[Symbol.dispose]();
    for (const session of this.#all()) session.close();
  }

  /** Closes every connection; exchanges that run fail with `backend_closed`. */
  destroy(): void {
    this.#closed = true;
    this.#waiting[Symbol.dispose]();
    for (const exchange of [...this.#running]) exchange.fail(exchangeError("backend_closed"));
    for (const session of this.#all()) session.destroy();
  }

  #all(): Http2Session[] {
    const opening = this.#opening;
    const open = [...this.#sessions, ...this.#leaving];
    return opening instanceof Http2Session ? [...open, opening] : open;
  }

  #dial(): void {
    if (this.#opening !== null || this.#sessions.size >= MOST_SESSIONS || this.#closed) return;
    this.#opening = "dialling";
    this.#dialler.dial((error, socket) => {
      this.#opening = null;
      if (socket === null) return this.#failWaiting(error!);
      if (this.#closed) return void socket.destroy();
      this.#open(socket);
    });
  }

  #open(socket: Socket): void {
    const { origin } = this.#dialler;
    const refusal = Http2Session.refusal(socket, origin);
    if (refusal === null) {
      const times = { setupMs: this.#app.timeouts.connectMs, idleMs: this.#idleMs };
      this.#opening = new Http2Session(socket, origin, times, this);
      return;
    }
    socket.on("error", () => {});
    socket.destroy();
    this.#failWaiting(refusal);
  }

  /** No connection could be made. Where there is another, its streams become free in time. */
  #failWaiting(error: BackendError): void {
    if (this.#sessions.size > 0) return;
    for (const exchange of this.#waiting.all()) exchange.fail(error, false);
  }
}

const NO_HEAD: Http2Head = { list: [], mayTrail: false };
