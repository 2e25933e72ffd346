import { Agent, type ClientRequest } from "node:http";
import type { Duplex } from "node:stream";
import type { ConnectorApp } from "../../protocol/app.ts";
import type { ExchangeOwner } from "./app_backend.ts";
import type { Dialler } from "./dialler.ts";
import { NodeHttpExchange } from "./node_http_exchange.ts";
import { noTurn } from "./errors.ts";
import { exchangeError } from "./exchange_error.ts";
import type { NodeHttpOwner } from "./node_http_exchange.ts";
import type { BackendExchange, BackendHandler, BackendRequest } from "./port.ts";
import { Waiting } from "./waiting.ts";

/** An idle connection closes after this long, in milliseconds. */
const KEEP_ALIVE_MS = 4_000;
/** Idle connections kept for one backend. */
const MAX_IDLE = 64;

/** An agent whose connections, TLS or not, are made by our dialler, and whose queue can be left. */
export class DiallingAgent extends Agent {
  readonly #dialler: Dialler;

  constructor(dialler: Dialler, connections: number, keepAlive: boolean) {
    super({ keepAlive, maxSockets: connections, maxFreeSockets: MAX_IDLE, timeout: KEEP_ALIVE_MS });
    this.#dialler = dialler;
  }

  override createConnection(
    _options: unknown,
    callback?: (error: Error | null, socket: Duplex) => void,
  ): undefined {
    this.#dialler.dial((error, socket) => callback?.(error, socket as Duplex));
  }

  /** Takes a request that waits for a connection out of the queue; by itself it would stay until its turn comes. */
  forget(request: ClientRequest): void {
    const queues = this.requests as Record<string, ClientRequest[] | undefined>;
    for (const name of Object.keys(queues)) {
      const queue = queues[name]!;
      const at = queue.indexOf(request);
      if (at < 0) continue;
      queue.splice(at, 1);
      if (queue.length === 0) delete queues[name];
    }
  }
}

/** HTTP/1.1 to one backend through `node:http`: twice the cost of undici, for what undici cannot do. */
export class NodeHttpAdapter implements NodeHttpOwner {
  readonly #app: ConnectorApp;
  readonly #agent: DiallingAgent;
  /** For requests that are sent again, or share with nobody: each on a connection of its own. */
  readonly #fresh: DiallingAgent;
  readonly #host: string;
  readonly #running = new Set<NodeHttpExchange>();
  readonly #waiting: Waiting<NodeHttpExchange>;
  readonly #owner: ExchangeOwner;

  /** `waitMs`: longest wait for a connection. */
  constructor(
    app: ConnectorApp,
    dialler: Dialler,
    { connections, waitMs }: { connections: number; waitMs: number },
    owner: ExchangeOwner,
  ) {
    this.#owner = owner;
    this.#waiting = new Waiting(waitMs, (exchange) => exchange.fail(noTurn(app.origin, waitMs)));
    this.#app = app;
    this.#agent = new DiallingAgent(dialler, connections, true);
    // Without a bound of its own it says Connection: close, and hands no connection on to one that waits.
    this.#fresh = new DiallingAgent(dialler, Number.POSITIVE_INFINITY, false);
    this.#host = new URL(app.origin).host;
  }

  /** `alone`: on a connection of its own. */
  dispatch(request: BackendRequest, handler: BackendHandler, alone: boolean): BackendExchange {
    const exchange = new NodeHttpExchange(handler, this.#app.timeouts, this);
    this.#running.add(exchange);
    exchange.start(alone ? this.#fresh : this.#agent, request, this.#host, this.#fresh);
    return exchange;
  }

  /** Closes the connections, all idle: call it when the last exchange has ended. */
  retire(): void {
    this.#waiting[Symbol.dispose]();
    this.#agent.destroy();
    this.#fresh.destroy();
  }

  /** Closes every connection; exchanges that run fail with `backend_closed`. */
  destroy(): void {
    for (const exchange of this.#running) exchange.fail(exchangeError("backend_closed"));
    this.#waiting[Symbol.dispose]();
    this.#agent.destroy();
    this.#fresh.destroy();
  }

  waits(exchange: NodeHttpExchange): void {
    this.#waiting.add(exchange);
  }

  hasConnection(exchange: NodeHttpExchange): void {
    this.#waiting.delete(exchange);
  }

  left(exchange: NodeHttpExchange): void {
    this.#running.delete(exchange);
    this.#waiting.delete(exchange);
    this.#owner.left();
  }
}
