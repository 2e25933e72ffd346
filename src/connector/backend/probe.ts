import type { ConnectorApp } from "../../protocol/app.ts";
import type { ProxyFor } from "../outbound/proxy.ts";
import type { AllowList } from "./allow_list.ts";
import { type ClientCertificates, NO_CLIENT_CERTIFICATES } from "./client_certificates.ts";
import { createBackends } from "./backends.ts";
import { defaultLookup, Dial } from "./dial.ts";
import type { DialPhase } from "./classify.ts";
import type { Lookup } from "./dial.ts";
import { parseOrigin } from "./origin.ts";
import type { BackendError } from "./errors.ts";
import type { BackendFailure } from "./port.ts";

/** One step on the way to a backend: done, or failed with a code of `BACKEND_CODES`. */
export interface ProbeStep {
  step: DialPhase | "http";
  /** Milliseconds that the step took. */
  ms: number;
  /** What was found: addresses, or the status. */
  found?: string;
  /** Why it failed; no step follows. */
  failure?: { code: string; message: string };
}

/** What a probe needs. */
export interface ProbeOptions {
  allow: AllowList;
  lookup?: Lookup;
  clientCertificates?: ClientCertificates;
  proxyFor?: ProxyFor | undefined;
}

/**
 * Tries an app's backend step by step, as an exchange would reach it, on a connection of its own: name, TCP, TLS, and
 * `HEAD /`, where any status is good. Never throws.
 */
export async function probeBackend(app: ConnectorApp, options: ProbeOptions): Promise<ProbeStep[]> {
  const steps: ProbeStep[] = [];
  if (await probeConnection(app, options, steps)) await probeHttp(app, options, steps);
  return steps;
}

async function probeConnection(
  app: ConnectorApp,
  options: ProbeOptions,
  steps: ProbeStep[],
): Promise<boolean> {
  const { allow, lookup = defaultLookup, clientCertificates = NO_CLIENT_CERTIFICATES, proxyFor } = options;
  let since = performance.now();
  const lap = () => {
    const ms = performance.now() - since;
    since += ms;
    return ms;
  };
  try {
    const origin = parseOrigin(app);
    const settings = {
      origin,
      tls: app.tls,
      connectMs: app.timeouts.connectMs,
      allow,
      lookup,
      clientCertificates,
      proxyFor,
    };
    await new Promise<void>((resolve, reject) => {
      const dial = new Dial(settings, (error, socket) => {
        socket?.on("error", () => {}).destroy();
        if (error === null) resolve();
        else reject(error);
      }, (step, addresses) => steps.push({ step, ms: lap(), found: addresses.join(", ") }));
      dial.start();
    });
    return true;
  } catch (error) {
    const { code, message, details } = error as BackendError;
    const step = (details.phase as DialPhase | undefined) ?? (steps.length === 0 ? "dns" : "tcp");
    steps.push({ step, ms: lap(), failure: { code, message } });
    return false;
  }
}

async function probeHttp(app: ConnectorApp, options: ProbeOptions, steps: ProbeStep[]): Promise<void> {
  const backends = createBackends(options);
  const since = performance.now();
  const result = await new Promise<number | BackendFailure>((resolve) => {
    const request = {
      method: "HEAD",
      target: "/",
      headers: ["Host", new URL(app.origin).host],
      hasBody: false,
    };
    backends.dispatch(app, request, {
      informational: () => {},
      response: resolve,
      data: () => true,
      end: () => {},
      failed: resolve,
      drained: () => {},
    });
  });
  await backends.close();
  const ms = performance.now() - since;
  if (typeof result === "number") steps.push({ step: "http", ms, found: `status ${result}` });
  else steps.push({ step: "http", ms, failure: { code: result.code, message: result.message } });
}
