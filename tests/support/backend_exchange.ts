import { AllowList } from "../../src/connector/backend/allow_list.ts";
import { createBackends } from "../../src/connector/backend/backends.ts";
import type { BackendsOptions } from "../../src/connector/backend/backends.ts";
import type {
  BackendExchange,
  BackendFailure,
  BackendHandler,
  BackendRequest,
  Backends,
  HeaderList,
} from "../../src/connector/backend/port.ts";
import {
  type AppBackendTls,
  type AppTimeouts,
  type ConnectorApp,
  DEFAULT_BACKEND_TLS,
  DEFAULT_TIMEOUTS,
} from "../../src/protocol/app.ts";

/** What a test says of an app: of time-outs and TLS only what it cares about. */
export interface AppChanges extends Partial<Omit<ConnectorApp, "timeouts" | "tls">> {
  timeouts?: Partial<AppTimeouts>;
  tls?: Partial<AppBackendTls>;
}

/** An app whose backend is at `origin`, with limits that no machine meets that stands still for a while; `changes` override. */
export function backendApp(origin: string, { timeouts, tls, ...changes }: AppChanges = {}): ConnectorApp {
  return {
    id: "app",
    revision: 1,
    origin,
    timeouts: { ...DEFAULT_TIMEOUTS, connectMs: 30_000, responseHeadMs: 30_000, idleMs: 30_000, ...timeouts },
    tls: { ...DEFAULT_BACKEND_TLS, ...tls },
    backendProtocol: "auto",
    healthCheck: null,
    ...changes,
  };
}

/** Backends that are closed when the test ends. */
export function testBackends(
  t: { after(fn: () => Promise<void>): void },
  options: Partial<BackendsOptions> = {},
): Backends {
  const backends = createBackends({ allow: new AllowList([]), ...options });
  t.after(() => backends.close());
  return backends;
}

/** How an exchange ended. */
export type Outcome = { trailers: HeaderList } | BackendFailure;

/** A handler that keeps what it is told. `take` decides whether to go on after each piece. */
export class Recorder implements BackendHandler {
  readonly informationals: { status: number; headers: HeaderList }[] = [];
  status = 0;
  reason = "";
  headers: HeaderList = [];
  readonly chunks: Uint8Array[] = [];
  bytes = 0;
  drains = 0;
  exchange!: BackendExchange;
  take: (chunk: Uint8Array) => boolean = (chunk) => {
    this.chunks.push(chunk);
    return true;
  };
  onDrained: () => void = () => {};
  readonly #head = Promise.withResolvers<void>();
  readonly #outcome = Promise.withResolvers<Outcome>();

  /** Settles when the response head came, or the exchange ended without one. */
  readonly answered: Promise<void> = this.#head.promise;
  readonly outcome: Promise<Outcome> = this.#outcome.promise;

  get body(): string {
    return Buffer.concat(this.chunks).toString("latin1");
  }

  informational(status: number, headers: HeaderList): void {
    this.informationals.push({ status, headers });
  }

  response(status: number, reason: string, headers: HeaderList): void {
    Object.assign(this, { status, reason, headers });
    this.#head.resolve();
  }

  data(chunk: Uint8Array): boolean {
    this.bytes += chunk.length;
    return this.take(chunk);
  }

  end(trailers: HeaderList): void {
    this.#outcome.resolve({ trailers });
  }

  failed(error: BackendFailure): void {
    this.#head.resolve();
    this.#outcome.resolve(error);
  }

  drained(): void {
    this.drains++;
    this.onDrained();
  }
}

/** Starts an exchange with defaults of a plain GET; `body`, where given, is written and ended. */
export function exchange(
  backends: Backends,
  app: ConnectorApp,
  request: Partial<BackendRequest> = {},
  body?: string,
): Recorder {
  const recorder = new Recorder();
  recorder.exchange = backends.dispatch(app, {
    method: "GET",
    target: "/",
    headers: ["Host", "backend.test"],
    hasBody: body !== undefined,
    ...request,
  }, recorder);
  if (body !== undefined) {
    if (body !== "") recorder.exchange.write(Buffer.from(body, "latin1"));
    recorder.exchange.end();
  }
  return recorder;
}

/** Awaits an exchange that must end well. */
export async function completed(recorder: Recorder): Promise<Recorder> {
  const outcome = await recorder.outcome;
  if ("code" in outcome) throw new Error(`exchange failed: ${outcome.code}: ${outcome.message}`);
  return recorder;
}

/** Awaits an exchange that must fail. */
export async function failure(recorder: Recorder): Promise<BackendFailure> {
  const outcome = await recorder.outcome;
  if (!("code" in outcome)) throw new Error(`exchange succeeded with ${recorder.status}`);
  return outcome;
}
