import type { ConnectorApp } from "../../protocol/app.ts";
import type { Log } from "../../platform/log.ts";
import type { AllowList } from "./allow_list.ts";
import type { Lookup } from "./dial.ts";
import { Dialler } from "./dialler.ts";
import { BackendError } from "./errors.ts";
import { NodeHttpAdapter } from "./node_http.ts";
import { parseOrigin } from "./origin.ts";
import type { BackendExchange, BackendHandler, BackendRequest } from "./port.ts";
import { UndiciAdapter } from "./undici.ts";

/** What an exchange tells the one that keeps count of it. */
export interface ExchangeOwner {
  /** Called once: the exchange is over. */
  left(): void;
  /** The backend sends `100 Continue` to requests that did not ask for it. */
  sentUnaskedContinue(): void;
}

/** Limits and means, the same for all apps. */
export interface AppBackendOptions {
  allow: AllowList;
  lookup: Lookup;
  log: Log;
  connectionsPerApp: number;
  waitingPerApp: number;
}

/** The connections to one app's backend under one revision of its settings. */
export class AppBackend implements ExchangeOwner {
  readonly #options: AppBackendOptions;
  readonly #dialler: Dialler;
  #app: ConnectorApp;
  #undici: UndiciAdapter | null = null;
  #nodeHttp: NodeHttpAdapter | null = null;
  #running = 0;
  #nodeHttpOnly = false;
  #retired: (() => void) | null = null;

  /** Throws `BackendError` `backend_misconfigured` when the app's origin cannot be used. */
  constructor(app: ConnectorApp, options: AppBackendOptions) {
    this.#app = app;
    this.#options = options;
    const { allow, lookup } = options;
    this.#dialler = new Dialler({
      origin: parseOrigin(app),
      tls: app.tls,
      connectMs: app.timeouts.connectMs,
      allow,
      lookup,
    });
  }

  /** Are these the settings that the connections were made under? */
  serves(app: ConnectorApp): boolean {
    if (app === this.#app) return true;
    if (app.revision !== this.#app.revision || !sameSettings(app, this.#app)) return false;
    this.#app = app;
    return true;
  }

  dispatch(
    choice: "undici" | "node_http",
    request: BackendRequest,
    handler: BackendHandler,
  ): BackendExchange {
    const { connectionsPerApp, waitingPerApp } = this.#options;
    if (this.#running >= connectionsPerApp + waitingPerApp) {
      throw new BackendError(
        "backend_busy",
        `Backend "${this.#app.origin}" has ${this.#running} exchanges already`,
      );
    }
    if (choice === "undici" && !this.#nodeHttpOnly) {
      this.#undici ??= new UndiciAdapter(this.#app, this.#dialler, connectionsPerApp, this);
      this.#running++;
      return this.#undici.dispatch(request, handler);
    }
    this.#nodeHttp ??= new NodeHttpAdapter(this.#app, this.#dialler, connectionsPerApp, this);
    this.#running++;
    return this.#nodeHttp.dispatch(request, handler);
  }

  /** Closes idle connections; those in use close when their exchange has ended, then `done` is called. */
  retire(done: () => void): void {
    this.#retired = done;
    this.#undici?.retire();
    this.#finishRetiring();
  }

  /** Closes every connection; exchanges that run fail with `backend_closed`. */
  async destroy(): Promise<void> {
    this.#dialler.close();
    this.#nodeHttp?.destroy();
    await this.#undici?.destroy();
  }

  left(): void {
    this.#running--;
    this.#finishRetiring();
  }

  sentUnaskedContinue(): void {
    if (this.#nodeHttpOnly) return;
    this.#nodeHttpOnly = true;
    this.#options.log.warn(
      "backend sends 100 Continue unasked: its requests go through node:http from now on",
      {
        app: this.#app.id,
      },
    );
  }

  #finishRetiring(): void {
    if (this.#retired === null || this.#running > 0) return;
    this.#nodeHttp?.retire();
    this.#retired();
    this.#retired = null;
  }
}

function sameSettings(a: ConnectorApp, b: ConnectorApp): boolean {
  return a.origin === b.origin &&
    a.timeouts.connectMs === b.timeouts.connectMs &&
    a.timeouts.responseHeadMs === b.timeouts.responseHeadMs &&
    a.timeouts.idleMs === b.timeouts.idleMs &&
    a.tls.validate === b.tls.validate &&
    a.tls.ca === b.tls.ca &&
    a.tls.serverName === b.tls.serverName;
}
