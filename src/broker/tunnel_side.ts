import { randomUUID } from "node:crypto";
import type { Log } from "../platform/log.ts";
import { VERSION } from "../platform/version.ts";
import type { Ca } from "./ca/ca.ts";
import type { CertificateRate } from "./ca/certificate_rate.ts";
import { Renewals } from "./ca/renewals.ts";
import type { BrokerConfiguration } from "./config.ts";
import { networkOf } from "./listener/address.ts";
import { clientAddressOf } from "./listener/client_address.ts";
import type { ConnectionTarget } from "./listener/handlers.ts";
import type { DataPlaneCounters } from "./metrics/counters.ts";
import type { Registry } from "./registry/registry.ts";
import type { Store } from "./store/port.ts";
import { RememberedStore } from "./store/remembered.ts";
import { createTunnelApp } from "./tunnel/app.ts";
import { Arrivals } from "./tunnel/arrivals.ts";
import { connectorLog } from "./tunnel/connector_log.ts";
import { DEFAULT_PROBE_TIMES } from "./tunnel/probe.ts";
import { createTunnelServer, type TunnelCredentials } from "./tunnel/server.ts";
import { Tunnels } from "./tunnel/tunnels.ts";

/** What the side of connectors is made of. */
export interface TunnelSideParts {
  config: BrokerConfiguration;
  store: Store;
  ca: Ca;
  rate: CertificateRate;
  /** Where tunnels that are ready announce what they serve. */
  registry: Registry;
  counters: DataPlaneCounters;
  log: Log;
}

/** The broker's side of connectors. */
export interface TunnelSide extends Disposable {
  readonly tunnels: Tunnels;
  /** Takes connections to the tunnel name. */
  readonly arrivals: ConnectionTarget;
  /** Ends all tunnels, and connections that are to become one. Again does nothing. */
  end(): void;
}

/** Composes tunnels, their TLS server and the way into it; all of it trusts and shows what the CA says, as it changes. */
export function createTunnelSide(
  { config, store, ca, rate, registry, counters, log: unboundedLog }: TunnelSideParts,
): TunnelSide {
  using stack = new DisposableStack();
  const log = connectorLog(unboundedLog, { onWithheld: () => counters.logLinesWithheld += 1 });
  const renewals = new Renewals({ store, ca, rate, log });
  const remembered = stack.use(new RememberedStore(store));
  const tunnels = stack.use(
    new Tunnels({
      registry,
      counters,
      log,
      store: remembered,
      times: { pingIntervalMs: config.pingIntervalMs, timeoutMs: config.tunnelTimeoutMs },
      probeTimes: {
        ...DEFAULT_PROBE_TIMES,
        intervalMs: config.probeIntervalMs,
        timeoutMs: config.probeTimeoutMs,
      },
      maxLanes: config.maxLanesPerTunnel,
      nodeId: randomUUID(),
      softwareVersion: VERSION,
      onGreeted: (session) => arrivals.settled(session.socket),
      identities: {
        renew: (connectorId, csr, serial) => renewals.renew(connectorId, csr, serial),
        trustAnchors: () => ca.trustAnchors,
      },
    }),
  );
  const app = createTunnelApp({
    store: remembered,
    tunnels,
    identityOf: (leaf) => ca.identityOf(leaf),
    onRefused: (code) => counters.refusedTunnel(code),
    externalIpOf: (session) => clientAddressOf(session.socket as never).address,
    log,
  });
  const server = createTunnelServer(app, {
    credentials: credentials(ca, config.tunnelName),
    minVersion: config.tunnelTlsMinVersion,
    maxLanes: config.maxLanesPerTunnel,
    onTlsError(error) {
      counters.tlsHandshakeFailures += 1;
      log.debug("tunnel connection failed", { error: error.message });
    },
    hasGreeted: (session) => tunnels.hasGreeted(session),
  });
  stack.defer(() => server.close());
  const arrivals = stack.use(
    new Arrivals(server.server, {
      sourceOf: (socket) => networkOf(clientAddressOf(socket).address),
      onTurnedAway: (cause) => counters.turnedAway(cause),
    }),
  );
  const takeCredentials = () => server.setCredentials(credentials(ca, config.tunnelName));
  stack.defer(ca.onServerContext(takeCredentials));
  stack.defer(ca.onTrustAnchors(() => {
    takeCredentials();
    tunnels.announceTrust();
  }));
  const parts = stack.move();
  return {
    tunnels,
    arrivals,
    end() {
      tunnels[Symbol.dispose]();
      server.close();
    },
    [Symbol.dispose]: () => parts.dispose(),
  };
}

function credentials(ca: Ca, name: string): TunnelCredentials {
  const { key, cert } = ca.serverContext(name);
  return { key, cert, ca: ca.trustAnchors };
}
