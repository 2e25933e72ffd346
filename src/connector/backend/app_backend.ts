import type { ConnectorApp } from "../../protocol/app.ts";
import type { Log } from "../../platform/log.ts";
import type { ProxyFor } from "../outbound/proxy.ts";
import { adapterFor, type Http2Use, withoutTe } from "./adapter.ts";
import type { AllowList } from "./allow_list.ts";
import type { ClientCertificates } from "./client_certificates.ts";
import type { Lookup } from "./dial.ts";
import { Dialler } from "./dialler.ts";
import { BackendError } from "./errors.ts";
import { Http2Adapter } from "./http2.ts";
import { NodeHttpAdapter } from "./node_http.ts";
import { parseOrigin } from "./origin.ts";
import type { BackendExchange, BackendHandler, BackendRequest } from "./port.ts";
import { UndiciAdapter } from "./undici.ts";
import { waitMsFor } from "./waiting.ts";

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
  clientCertificates: ClientCertificates;
  lookup: Lookup;
  proxyFor?: ProxyFor | undefined;
  log: Log;
  connectionsPerApp: number;
  waitingPerApp: number;
  /** Longest wait for a connection or stream, milliseconds; null: by the app's time to connect. */
  waitMs: number | null;
  /** An HTTP/2 connection without streams is closed after it, milliseconds. */
  http2IdleMs: number;
}

/** The connections to one app's backend under one revision of its settings. */
export class AppBackend implements ExchangeOwner {
  readonly #options: AppBackendOptions;
  readonly #dialler: Dialler;
  readonly #http2Use: Http2Use;
  readonly #waitMs: number;
  #app: ConnectorApp;
  #undici: UndiciAdapter | null = null;
  #nodeHttp: NodeHttpAdapter | null = null;
  #http2: Http2Adapter | null = null;
  #http2Dialler: Dialler | null = null;
  #running = 0;
  #nodeHttpOnly = false;
  #retired: (() => void) | null = null;

  /** Throws `BackendError` `backend_misconfigured` when the app's origin cannot be used. */
  constructor(app: ConnectorApp, options: AppBackendOptions) {
    this.#app = app;
    this.#options = options;
    this.#dialler = this.#newDialler("http/1.1");
    this.#http2Use = http2UseOf(app, this.#dialler.origin.tls);
    this.#waitMs = options.waitMs ?? waitMsFor(app.timeouts.connectMs);
  }

  #newDialler(alpn: string): Dialler {
    const { allow, lookup, clientCertificates, proxyFor } = this.#options;
    const { tls, timeouts } = this.#app;
    return new Dialler({
      origin: parseOrigin(this.#app),
      tls,
      alpn,
      connectMs: timeouts.connectMs,
      allow,
      lookup,
      clientCertificates,
      proxyFor,
    });
  }

  #connectHttp2(): Http2Adapter {
    this.#http2Dialler = this.#newDialler("h2");
    const times = { waitMs: this.#waitMs, idleMs: this.#options.http2IdleMs };
    return new Http2Adapter(this.#app, this.#http2Dialler, times, this);
  }

  /** Are these the settings that the connections were made under? */
  serves(app: ConnectorApp): boolean {
    if (app === this.#app) return true;
    if (app.revision !== this.#app.revision || !sameSettings(app, this.#app)) return false;
    this.#app = app;
    return true;
  }

  /** Throws `BackendError` where it cannot be started at all. */
  dispatch(request: BackendRequest, handler: BackendHandler): BackendExchange {
    const choice = adapterFor(request, this.#http2Use);
    if (choice === "refused_connect") throw badRequest("CONNECT cannot be forwarded");
    if (choice === "refused_framing") {
      throw badRequest("The request's length is ambiguous, it cannot be forwarded");
    }
    const { connectionsPerApp, waitingPerApp } = this.#options;
    const most = connectionsPerApp + waitingPerApp;
    if (this.#running >= most) throw this.#busy(`${this.#running} exchanges`);
    if (choice === "http2") {
      this.#http2 ??= this.#connectHttp2();
      this.#running++;
      return this.#http2.dispatch(request, handler);
    }
    if (choice !== "node_http" && choice !== "node_http_alone" && !this.#nodeHttpOnly) {
      if (choice === "undici_without_te") withoutTe(request.headers);
      this.#undici ??= new UndiciAdapter(this.#app, this.#dialler, this.#limits(), this);
      this.#running++;
      return this.#undici.dispatch(request, handler);
    }
    // Its agent goes on connecting for those that were given up.
    if (this.#dialler.dialling >= most) throw this.#busy(`${this.#dialler.dialling} connections being made`);
    this.#nodeHttp ??= new NodeHttpAdapter(this.#app, this.#dialler, this.#limits(), this);
    this.#running++;
    return this.#nodeHttp.dispatch(request, handler, choice === "node_http_alone");
  }

  #limits(): { connections: number; waitMs: number } {
    return { connections: this.#options.connectionsPerApp, waitMs: this.#waitMs };
  }

  #busy(what: string): BackendError {
    return new BackendError("backend_busy", `Backend "${this.#app.origin}" has ${what} already`);
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
    this.#http2Dialler?.close();
    this.#nodeHttp?.destroy();
    this.#http2?.destroy();
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
    this.#http2?.retire();
    this.#retired();
    this.#retired = null;
  }
}

function badRequest(message: string): BackendError {
  return new BackendError("backend_bad_request", message);
}

/** In the clear nothing says whether a backend speaks HTTP/2, so that only the setting can. */
function http2UseOf(app: ConnectorApp, tls: boolean): Http2Use {
  switch (app.backendProtocol) {
    case "http1":
      return "never";
    case "auto":
      return tls ? "grpc" : "never";
    default:
      if (tls === (app.backendProtocol === "h2")) return "always";
      throw new BackendError(
        "backend_misconfigured",
        `Cannot use backend "${app.origin}" with protocol "${app.backendProtocol}": h2 is for https, h2c for http`,
        { details: { appId: app.id } },
      );
  }
}

function sameSettings(a: ConnectorApp, b: ConnectorApp): boolean {
  return a.origin === b.origin &&
    a.backendProtocol === b.backendProtocol &&
    a.timeouts.connectMs === b.timeouts.connectMs &&
    a.timeouts.responseHeadMs === b.timeouts.responseHeadMs &&
    a.timeouts.idleMs === b.timeouts.idleMs &&
    a.tls.validate === b.tls.validate &&
    a.tls.ca === b.tls.ca &&
    a.tls.serverName === b.tls.serverName &&
    a.tls.minVersion === b.tls.minVersion &&
    a.tls.clientCertificate === b.tls.clientCertificate;
}
