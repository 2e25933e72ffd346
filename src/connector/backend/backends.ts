import type { ConnectorApp } from "../../protocol/app.ts";
import type { Log } from "../../platform/log.ts";
import { silentLog } from "../../platform/log.ts";
import type { AllowList } from "./allow_list.ts";
import { type ClientCertificates, NO_CLIENT_CERTIFICATES } from "./client_certificates.ts";
import type { ProxyFor } from "../outbound/proxy.ts";
import { AppBackend } from "./app_backend.ts";
import type { Lookup } from "./dial.ts";
import { BackendError } from "./errors.ts";
import { exchangeError } from "./exchange_error.ts";
import { HTTP2_IDLE_MS } from "./http2_session.ts";
import type { BackendExchange, BackendHandler, BackendRequest, Backends } from "./port.ts";
import { systemResolver } from "./resolver.ts";

/** What `createBackends` needs to know. */
export interface BackendsOptions {
  /** The connector's own last word on addresses. */
  allow: AllowList;
  /** What this host shows backends that ask who it is; nothing by default. */
  clientCertificates?: ClientCertificates;
  log?: Log;
  /** The proxy on the way to backends; none by default. */
  proxyFor?: ProxyFor | undefined;
  /** How names become addresses; the system's resolver by default. */
  lookup?: Lookup;
  /** Most connections to one app's backend, by each adapter. */
  connectionsPerApp?: number;
  /** Most exchanges of one app that wait for a connection; the next fails with `backend_busy`. */
  waitingPerApp?: number;
  /** Longest wait for a connection or stream, milliseconds, then `backend_busy`; by the app's time to connect by default. */
  waitMs?: number | null;
  /** An HTTP/2 connection without streams is closed after it, milliseconds. */
  http2IdleMs?: number;
}

/** Makes the way to the backends of all apps. Nothing is connected before the first `dispatch`. */
export function createBackends(options: BackendsOptions): Backends {
  return new AllBackends(options);
}

class AllBackends implements Backends {
  readonly #options: Required<Omit<BackendsOptions, "proxyFor">> & Pick<BackendsOptions, "proxyFor">;
  readonly #apps = new Map<string, AppBackend>();
  /** Those of former settings that still have exchanges. */
  readonly #retired = new Set<AppBackend>();
  #closed = false;

  constructor(options: BackendsOptions) {
    this.#options = {
      log: silentLog,
      lookup: systemResolver().lookup,
      clientCertificates: NO_CLIENT_CERTIFICATES,
      connectionsPerApp: 2_048,
      waitingPerApp: 2_048,
      waitMs: null,
      http2IdleMs: HTTP2_IDLE_MS,
      ...options,
    };
  }

  dispatch(app: ConnectorApp, request: BackendRequest, handler: BackendHandler): BackendExchange {
    if (this.#closed) {
      return refuse(handler, exchangeError("backend_closed"));
    }
    try {
      return this.#backendOf(app).dispatch(request, handler);
    } catch (error) {
      if (!(error instanceof BackendError)) throw error;
      return refuse(handler, error);
    }
  }

  forget(appId: string): void {
    const backend = this.#apps.get(appId);
    if (backend !== undefined) this.#retire(appId, backend);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const all = [...this.#apps.values(), ...this.#retired];
    this.#apps.clear();
    this.#retired.clear();
    await Promise.all(all.map((backend) => backend.destroy()));
  }

  #backendOf(app: ConnectorApp): AppBackend {
    const known = this.#apps.get(app.id);
    if (known !== undefined) {
      if (known.serves(app)) return known;
      this.#options.log.debug("app's backend settings changed", { app: app.id, revision: app.revision });
      this.#retire(app.id, known);
    }
    const backend = new AppBackend(app, this.#options);
    this.#apps.set(app.id, backend);
    return backend;
  }

  #retire(appId: string, backend: AppBackend): void {
    this.#apps.delete(appId);
    this.#retired.add(backend);
    backend.retire(() => this.#retired.delete(backend));
  }
}

const NO_EXCHANGE: Pick<BackendExchange, "write" | "end" | "resume"> = {
  write: () => true,
  end: () => {},
  resume: () => {},
};

/** An exchange that fails before anything was sent, told after the caller holds it. */
function refuse(handler: BackendHandler, error: BackendError): BackendExchange {
  let told = false;
  queueMicrotask(() => {
    if (!told) handler.failed(error.toFailure(false));
  });
  return { ...NO_EXCHANGE, abort: () => told = true };
}
