import { type ConnectorApp, DEFAULT_TIMEOUTS } from "../../protocol/app.ts";
import { Dial, type DialSettings } from "./dial.ts";
import { BackendError } from "./errors.ts";
import { parseOrigin } from "./origin.ts";
import type { BackendExchange, Backends } from "./port.ts";

/** What checks need. */
export interface CheckOptions {
  /** Carries HTTP checks, as it does exchanges. */
  backends: Backends;
  /** How connections are made, the same for all apps. */
  means: Omit<DialSettings, "origin" | "tls" | "alpn" | "connectMs" | "session">;
}

/** Longest time for a connection that is only a check, milliseconds. */
const MOST_CONNECT_MS = 10_000;
/** What of a response is read; a longer one ends with its connection. */
const MOST_BODY_BYTES = 65_536;

/**
 * Looks once whether an app's backend is within reach, as the app's health check says; else by a connection of its own, TLS
 * included, that is closed at once. Resolves to null when all is well, else to the reason: a code of `BACKEND_CODES`, or
 * `status_` and the status.
 */
export function checkBackend(
  app: ConnectorApp,
  options: CheckOptions,
  signal: AbortSignal,
): Promise<string | null> {
  const { healthCheck } = app;
  if (healthCheck?.type === "http") return checkHttp(app, options.backends, signal);
  const { connectMs } = app.timeouts;
  const ownMs = connectMs === 0 ? DEFAULT_TIMEOUTS.connectMs : connectMs;
  return checkConnection(app, options, healthCheck?.timeoutMs ?? Math.min(ownMs, MOST_CONNECT_MS), signal);
}

function checkConnection(
  app: ConnectorApp,
  { means }: CheckOptions,
  connectMs: number,
  signal: AbortSignal,
): Promise<string | null> {
  return new Promise((resolve) => {
    const cancel = (): void => dial.cancel();
    const told = (reason: string | null): void => {
      signal.removeEventListener("abort", cancel);
      resolve(reason);
    };
    let origin: ReturnType<typeof parseOrigin>;
    try {
      origin = parseOrigin(app);
    } catch (error) {
      if (error instanceof BackendError) return told(error.code);
      throw error;
    }
    const alpn = app.backendProtocol === "h2" ? "h2" : "http/1.1";
    const dial = new Dial({ ...means, origin, tls: app.tls, alpn, connectMs }, (error, socket) => {
      socket?.on("error", () => {}).destroy();
      told(error === null ? null : error.code);
    });
    signal.addEventListener("abort", cancel);
    dial.start();
  });
}

function checkHttp(app: ConnectorApp, backends: Backends, signal: AbortSignal): Promise<string | null> {
  const { path, timeoutMs } = app.healthCheck!;
  return new Promise((resolve) => {
    let reason: string | null = "backend_bad_response";
    let bytes = 0;
    let isOver = false;
    const over = (found: string | null): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      signal.removeEventListener("abort", giveUp);
      resolve(found);
    };
    const giveUp = (): void => {
      exchange.abort();
      over(signal.aborted ? "backend_closed" : "backend_timeout");
    };
    const timer = setTimeout(giveUp, timeoutMs);
    signal.addEventListener("abort", giveUp);
    const headers = ["Host", new URL(app.origin).host, "User-Agent", "Sallyport-health-check"];
    const request = { method: "GET", target: path, headers, hasBody: false };
    const exchange: BackendExchange = backends.dispatch(app, request, {
      informational: () => {},
      response: (status) => reason = status >= 200 && status <= 399 ? null : `status_${status}`,
      data: (chunk) => {
        bytes += chunk.length;
        if (bytes > MOST_BODY_BYTES && !isOver) {
          exchange.abort();
          over(reason);
        }
        return true;
      },
      end: () => over(reason),
      failed: ({ code }) => over(code),
      drained: () => {},
    });
  });
}
