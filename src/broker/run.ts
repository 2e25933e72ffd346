/**
 * The broker's composition root: what starts in which order, what stops in which order, and why.
 *
 * Start: logs, so that all that follows can speak; the store and the CA, without which nothing is known or trusted;
 * registry and tunnels, so that the first connector finds a place; routes; the listeners, public ones first, since the
 * admin API shows their addresses. Stop is the reverse, with a grace in which exchanges finish: listeners take nothing
 * new, then tunnels end, then the store, which all of them use; logs last.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { hostname } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { createSecureContext } from "node:tls";
import { getRequestListener } from "@hono/node-server";
import { randomUUID } from "node:crypto";
import type { Environment } from "../platform/configuration.ts";
import { inheritedSockets } from "../platform/inherited_sockets.ts";
import { parseListenAddress } from "../platform/listen_address.ts";
import { createLogging, type Logging } from "../platform/logging.ts";
import { VERSION } from "../platform/version.ts";
import { formatHostPort } from "../protocol/address.ts";
import { CreditBudget } from "../tunnel/credit_budget.ts";
import { FlushQueue } from "../tunnel/flush_queue.ts";
import { createAdminApp } from "./admin/app.ts";
import { ensureFirstAdminToken } from "./admin/first_token.ts";
import { serveAdmin } from "./admin/serve.ts";
import { type Ca, openCa } from "./ca/ca.ts";
import { readCaKey } from "./ca/ca_key.ts";
import { Renewals } from "./ca/renewals.ts";
import type { BrokerConfiguration } from "./config.ts";
import { dataFolder } from "./data_folder.ts";
import { lockDataFolder } from "./data_folder_lock.ts";
import { createEnrolmentApp } from "./enrol/app.ts";
import { AppGates } from "./ingress/app_gates.ts";
import { type Certificates, createCertificates } from "./ingress/certificates.ts";
import { createClientFacts } from "./ingress/client_facts.ts";
import { IdleSweep } from "./ingress/idle_sweep.ts";
import { READ_BEYOND } from "./ingress/head_limits.ts";
import { createIngress, type IngressDeps, type OwnHosts } from "./ingress/ingress.ts";
import { createRequestIds } from "./ingress/request_id.ts";
import { viaNames } from "./ingress/request_marks.ts";
import { RetryBudget } from "./ingress/retry_budget.ts";
import { createRouter } from "./ingress/router.ts";
import { parseCidrList } from "./listener/address.ts";
import type { Acceptor } from "./listener/acceptor.ts";
import { ConnectionLimit } from "./listener/connection_limit.ts";
import { clientAddressOf } from "./listener/client_address.ts";
import type { ConnectionTarget } from "./listener/handlers.ts";
import { createOnePort } from "./listener/one_port.ts";
import { createPlain } from "./listener/plain.ts";
import { createPublicTls } from "./listener/public_tls.ts";
import { InactiveConnectors } from "./inactive_connectors.ts";
import { liveConnectors } from "./live_connectors.ts";
import { DataPlaneCounters } from "./metrics/counters.ts";
import type { EndCause } from "./metrics/end_causes.ts";
import { createMetrics } from "./metrics/prometheus.ts";
import { Registry } from "./registry/registry.ts";
import type { Store } from "./store/port.ts";
import { RememberedStore } from "./store/remembered.ts";
import { openStore } from "./store/sqlite.ts";
import { createTunnelApp } from "./tunnel/app.ts";
import { Arrivals } from "./tunnel/arrivals.ts";
import { DEFAULT_PROBE_TIMES } from "./tunnel/probe.ts";
import { createTunnelServer, type TunnelCredentials } from "./tunnel/server.ts";
import { Tunnels } from "./tunnel/tunnels.ts";

/** How the program was called. */
export interface RunOptions {
  /** One JSON line on standard output once it listens. */
  json: boolean;
  signal: AbortSignal;
  env: Environment;
}

const DRAIN_CHECK_MS = 20;

/** Runs a broker until the signal is aborted and all is stopped. */
export async function runBroker(
  config: BrokerConfiguration,
  { json, signal, env }: RunOptions,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const logging = createLogging({
    level: config.logLevel,
    format: config.logFormat,
    sessionLog: config.sessionLog,
  });
  stack.defer(() => logging.flush());
  const { log } = logging;
  let state: "starting" | "serving" | "draining" = "starting";

  const folder = dataFolder(config.dataDir);
  const inherited = inheritedSockets(env, process.pid);
  stack.use(await lockDataFolder(folder.root, inherited.size > 0));
  const counters = new DataPlaneCounters();
  const store = stack.use(
    await openStore({ path: folder.store, log, onFailure: () => void (counters.storeFailures += 1) }),
  );
  stack.defer(await followSettings(store, logging));
  await ensureFirstAdminToken(store, folder.adminToken, log);
  const ca = stack.use(
    await openCa(config.dataDir, {
      names: [config.tunnelName, config.enrolName],
      connectorCertificateMs: config.connectorCertificateMs,
      key: await readCaKey(config.caKeyFile, env),
      overlapMs: config.caOverlapMs,
      checkIntervalMs: config.caCheckIntervalMs,
      ...(config.caSignCommand.length === 0 ? {} : {
        external: {
          command: config.caSignCommand,
          certificates: config.caCertificatesFile,
          timeoutMs: config.caSignTimeoutMs,
        },
      }),
      log,
    }),
  );

  const renewals = new Renewals({ store, ca, mostPerHour: config.certificateRenewalsPerHour, log });

  const registry = stack.use(
    new Registry(new CreditBudget(config.exchangeMemoryBytes), {
      waitForConnectorMs: config.waitForConnectorMs,
      waitForConnectorMax: config.waitForConnectorMax,
      waitForLaneMax: config.maxLanesPerTunnel,
    }),
  );
  const remembered = stack.use(new RememberedStore(store));
  const tunnels = stack.use(
    new Tunnels({
      registry,
      counters,
      log,
      store: remembered,
      times: { pingIntervalMs: config.pingIntervalMs, timeoutMs: config.tunnelTimeoutMs },
      probeTimes: DEFAULT_PROBE_TIMES,
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
  const handshakeFailed = (error: Error): void => {
    counters.tlsHandshakeFailures += 1;
    log.debug("tunnel connection failed", { error: error.message });
  };
  const tunnelApp = createTunnelApp({
    store: remembered,
    tunnels,
    identityOf: (leaf) => ca.identityOf(leaf),
    externalIpOf: (session) => clientAddressOf(session.socket as never).address,
    log,
  });
  const tunnelServer = createTunnelServer(tunnelApp, {
    credentials: tunnelCredentials(ca, config.tunnelName),
    minVersion: config.tunnelTlsMinVersion,
    maxLanes: config.maxLanesPerTunnel,
    onTlsError: handshakeFailed,
    hasGreeted: (session) => tunnels.hasGreeted(session),
  });
  stack.defer(() => tunnelServer.close());
  const arrivals = stack.use(new Arrivals(tunnelServer.server));
  const takeCredentials = () => tunnelServer.setCredentials(tunnelCredentials(ca, config.tunnelName));
  stack.defer(ca.onServerContext(takeCredentials));
  stack.defer(ca.onTrustAnchors(() => {
    takeCredentials();
    tunnels.announceTrust();
  }));

  const router = stack.use(await createRouter({ store, log }));
  const certificates = stack.use(
    await createCertificates({ files: config.certificates, minVersion: config.tlsMinVersion, log }),
  );
  stack.defer(serveOwnCertificate(ca, certificates, config.enrolName));

  let publicAddress = config.publicAddress;
  const enrolment = createEnrolmentApp({
    store,
    ca,
    brokerAddress: () => publicAddress,
    tunnelName: config.tunnelName,
    log,
    sourceAddress: (c) => clientAddressOf((c.env as { incoming: IncomingMessage }).incoming.socket).address,
    counters: { enrolled: () => {}, refused: (code) => counters.failed(code) },
  });
  const serveEnrolment = getRequestListener(enrolment.fetch, { overrideGlobalObjects: false });
  const ingress = (own: OwnHosts, sameCertificate?: IngressDeps["sameCertificate"]) =>
    createIngress({ ...ingressDeps, own, ...(sameCertificate === undefined ? {} : { sameCertificate }) });
  const gates = new AppGates();
  const trustedProxies = parseCidrList(config.trustedProxies);
  const ingressDeps: Omit<IngressDeps, "own"> = {
    lanes: registry,
    counters,
    sessionLog: logging.session,
    log,
    router,
    clientFacts: createClientFacts(trustedProxies),
    requestIds: createRequestIds(),
    turns: new FlushQueue(setImmediate),
    gates,
    userIdleMs: config.userIdleMs,
    retries: new RetryBudget(),
    via: viaNames(ca.caFingerprint),
    idleSweep: stack.use(new IdleSweep()),
    heads: { maxBytes: config.maxRequestHeadBytes, maxHeaders: config.maxRequestHeaders },
  };
  const onEnded = (cause: EndCause): void => {
    counters.ended(cause);
    if (cause === "tls_handshake") counters.tlsHandshakeFailures += 1;
  };
  const connections = new ConnectionLimit({
    max: config.maxUserConnections,
    maxPerSource: config.maxUserConnectionsPerSource,
    exempt: trustedProxies,
    onEnded,
  });
  const limits = {
    maxHeaderBytes: config.maxRequestHeadBytes + READ_BEYOND.maxBytes,
    maxHeaders: config.maxRequestHeaders + READ_BEYOND.maxHeaders,
    headersTimeoutMs: config.requestHeadTimeoutMs,
    keepAliveTimeoutMs: config.userIdleTimeoutMs,
    sessionIdleTimeoutMs: config.userIdleTimeoutMs,
    onEnded,
  };
  const publicTls = createPublicTls({
    certificates,
    handlers: ingress({
      enrolment: {
        name: config.enrolName,
        onRequest: (req: IncomingMessage, res: ServerResponse) => void serveEnrolment(req, res),
      },
      misdirected: [config.tunnelName],
    }, (serverName, host) => certificates.contextFor(serverName) === certificates.contextFor(host)),
    log,
    minVersion: config.tlsMinVersion,
    limits,
    connections,
    handshakeTimeoutMs: config.helloTimeoutMs,
  });
  const plainHandlers = ingress({ misdirected: [config.tunnelName, config.enrolName] });

  const ownTunnelPort = config.tunnelListen !== "";
  const publicTarget = (name: string | undefined): ConnectionTarget | undefined => {
    if (name !== config.tunnelName) return publicTls;
    return ownTunnelPort ? undefined : arrivals;
  };
  const tunnelTarget = (name: string | undefined): ConnectionTarget | undefined => {
    if (name === config.tunnelName) return arrivals;
    return name === config.enrolName ? publicTls : undefined;
  };
  const onAccepted = (): void => void (counters.ingressConnections += 1);
  const listenAt = (name: string, text: string) => {
    const { host, port } = parseListenAddress(text)!; // Checked with the configuration.
    return {
      address: host,
      port,
      log,
      descriptor: inherited.get(name),
      frontTimeoutMs: config.helloTimeoutMs,
      onEnded,
      onAccepted,
    };
  };
  const ingressProxy = config.proxyProtocolIngress ? trustedProxies : undefined;
  const tunnelProxy = config.proxyProtocolTunnel ? trustedProxies : undefined;
  const acceptors: Record<string, Acceptor> = {};
  if (config.publicListen !== "") {
    acceptors.public = createOnePort({
      ...listenAt("public", config.publicListen),
      proxyProtocol: ingressProxy,
      targetOf: (hello) => publicTarget(hello.serverName),
    });
  }
  if (ownTunnelPort) {
    acceptors.tunnel = createOnePort({
      ...listenAt("tunnel", config.tunnelListen),
      proxyProtocol: tunnelProxy,
      targetOf: (hello) => tunnelTarget(hello.serverName),
    });
  }
  if (config.plainListen !== "") {
    acceptors.plain = createPlain({
      ...listenAt("plain", config.plainListen),
      proxyProtocol: ingressProxy,
      handlers: plainHandlers,
      limits,
      connections,
    });
  }

  const listeners: Record<string, { address: string; port: number }> = {};
  stack.defer(async () => {
    state = "draining";
    log.info("stopping: waiting for exchanges in flight", { atMostMs: config.drainMs });
    // Whoever balances load in front of us sees it on /readyz, and sends elsewhere what we would have to end.
    await delay(config.drainDelayMs);
    tunnels.announceDrain(config.drainMs);
    const { plain, ...shared } = acceptors;
    const ports = Object.values(shared).map((acceptor) => acceptor.close(config.drainMs));
    // Users' connections end with the response that is under way or comes next; tunnels stay until all are gone.
    await Promise.all([publicTls.close(config.drainMs), plain?.close(config.drainMs)]);
    await drained(counters, config.drainMs);
    tunnels[Symbol.dispose]();
    tunnelServer.close();
    await Promise.all(ports);
  });
  for (const [name, acceptor] of Object.entries(acceptors)) listeners[name] = await acceptor.listen();
  const dialled = listeners.tunnel ?? listeners.public!;
  if (publicAddress === "") {
    publicAddress = formatHostPort({ host: reachable(dialled.address), port: dialled.port });
  }

  stack.use(
    new InactiveConnectors({
      store,
      connected: () => [...tunnels.all()].map(({ connectorId }) => connectorId),
      removeAfterMs: config.removeInactiveAfterMs,
      log,
    }),
  );

  const admin = await serveAdmin(
    createAdminApp({
      store,
      inactiveAfterMs: config.inactiveAfterMs,
      live: liveConnectors(tunnels, registry.health, () => state),
      metrics: createMetrics({
        counters,
        beforeScrape: () => {
          counters.waitingRequests = registry.waiting + gates.waiting;
          counters.logLinesLost = logging.lost;
          counters.ingressConnectionsOpen = connections.open;
        },
      }),
      tokenFacts: {
        brokerAddress: publicAddress,
        tunnelName: config.tunnelName,
        enrolName: config.enrolName,
        get caFingerprint() {
          return ca.caFingerprint;
        },
      },
      clock: Date,
      log,
    }),
    parseListenAddress(config.adminListen)!,
  );
  stack.defer(() => admin.close());
  listeners.admin = { address: parseListenAddress(config.adminListen)!.host, port: admin.port };

  state = "serving";
  log.info("broker ready", { version: VERSION, publicAddress, adminUrl: admin.url, ...flat(listeners) });
  if (json) {
    const { caFingerprint } = ca;
    const ready = {
      ready: true,
      listeners,
      adminUrl: admin.url,
      adminTokenFile: folder.adminToken,
      caFingerprint,
    };
    process.stdout.write(`${JSON.stringify(ready)}\n`);
  }
  await aborted(signal);
}

function tunnelCredentials(ca: Ca, name: string): TunnelCredentials {
  const { key, cert } = ca.serverContext(name);
  return { key, cert, ca: ca.trustAnchors };
}

/** Keeps the CA's certificate for `name` among the public ones; returns the way to stop. */
function serveOwnCertificate(ca: Ca, certificates: Certificates, name: string): () => void {
  const register = () => {
    const { key, cert } = ca.serverContext(name);
    return certificates.register(
      name,
      createSecureContext({ key, cert, minVersion: "TLSv1.2" }),
    );
  };
  let unregister = register();
  const stop = ca.onServerContext((context) => {
    if (context.name !== name) return;
    unregister();
    unregister = register();
  });
  return () => {
    stop();
    unregister();
  };
}

/** Applies what the administrator has set, now and whenever it changes; until then the configuration holds. */
async function followSettings(store: Store, logging: Logging): Promise<() => void> {
  const apply = async (): Promise<void> => {
    const { settings, version } = await store.getSettings();
    if (version <= 1) return;
    logging.setLevel(settings.logLevel);
    logging.setSessionLog(settings.sessionLog);
  };
  await apply();
  return store.onChange((change) => {
    if (change.kind !== "settings") return;
    apply().catch((error) => logging.log.error("cannot read settings", { error: String(error) }));
  });
}

/** Resolves when no exchange is in flight, or when the grace is over. */
async function drained(counters: DataPlaneCounters, graceMs: number): Promise<void> {
  const end = performance.now() + graceMs;
  while (counters.exchangesStarted > counters.exchangesFinished && performance.now() < end) {
    await delay(DRAIN_CHECK_MS);
  }
}

/** A host that others can dial when the listener took every address. */
function reachable(address: string): string {
  return address === "::" || address === "0.0.0.0" ? hostname() : address;
}

function flat(listeners: Record<string, { address: string; port: number }>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(listeners).map((
      [name, { address, port }],
    ) => [name, formatHostPort({ host: address, port })]),
  );
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
