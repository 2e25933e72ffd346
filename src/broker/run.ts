/**
 * The broker's composition root: what starts in which order, what stops in which order, and why.
 *
 * Start: logs, so that all that follows can speak; the store and the CA, without which nothing is known or trusted;
 * registry and tunnels, so that the first connector finds a place; routes; the listeners, public ones first, since the
 * admin API shows their addresses. Stop is the reverse, with a grace in which exchanges finish (`drain.ts`): listeners
 * take nothing new, then tunnels end, then the store, which all of them use; logs last.
 */
import type { Environment } from "../platform/configuration.ts";
import { inheritedSockets } from "../platform/inherited_sockets.ts";
import { parseListenAddress } from "../platform/listen_address.ts";
import { createLogging } from "../platform/logging.ts";
import { VERSION } from "../platform/version.ts";
import { formatHostPort } from "../protocol/address.ts";
import { CreditBudget } from "../tunnel/credit_budget.ts";
import { createAdminApp } from "./admin/app.ts";
import { ensureFirstAdminToken } from "./admin/first_token.ts";
import { type AdminServer, serveAdmin } from "./admin/serve.ts";
import { CertificateRate } from "./ca/certificate_rate.ts";
import { ClockWatch } from "./clock_watch.ts";
import type { BrokerConfiguration } from "./config.ts";
import { openConfiguredCa } from "./configured_ca.ts";
import { dataFolder } from "./data_folder.ts";
import { checkDataFolderModes } from "./data_folder_modes.ts";
import { lockDataFolder } from "./data_folder_lock.ts";
import { drain } from "./drain.ts";
import { followSettings } from "./follow_settings.ts";
import { InactiveConnectors } from "./inactive_connectors.ts";
import { parseCidrList } from "./listener/address.ts";
import { liveConnectors } from "./live_connectors.ts";
import { DataPlaneCounters } from "./metrics/counters.ts";
import { createMetrics } from "./metrics/prometheus.ts";
import { missingForUsers } from "./missing_for_users.ts";
import { connectorAddress, createPorts, listen, type Listening } from "./ports.ts";
import { Registry } from "./registry/registry.ts";
import { openStore } from "./store/sqlite.ts";
import { refuseUnfinishedRestore } from "./unfinished_restore.ts";
import { createTunnelSide } from "./tunnel_side.ts";
import { createUserSide } from "./user_side.ts";

/** How the program was called. */
export interface RunOptions {
  /** One JSON line on standard output once it listens. */
  json: boolean;
  signal: AbortSignal;
  env: Environment;
}

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
  await checkDataFolderModes(folder);
  await refuseUnfinishedRestore(folder);
  const counters = new DataPlaneCounters();
  const watch = new ClockWatch({ log });
  const store = stack.use(
    await openStore({
      path: folder.store,
      mayForget: () => watch.isTrusted(),
      log,
      onFailure: () => void (counters.storeFailures += 1),
    }),
  );
  watch.compare((await store.listAudit({ limit: 1 })).items[0]?.at ?? null);
  stack.defer(await followSettings(store, logging));
  await ensureFirstAdminToken(store, folder.adminToken, log);
  const ca = stack.use(
    await openConfiguredCa(config, env, store, { isClockTrusted: () => watch.isTrusted(), log }),
  );
  const rate = new CertificateRate(config.certificateRenewalsPerHour);
  const registry = stack.use(
    new Registry(new CreditBudget(config.exchangeMemoryBytes), {
      waitForConnectorMs: config.waitForConnectorMs,
      waitForConnectorMax: config.waitForConnectorMax,
      waitForLaneMax: config.maxLanesPerTunnel,
    }),
  );
  const connectors = stack.use(createTunnelSide({ config, store, ca, rate, registry, counters, log }));
  const { tunnels } = connectors;
  const trustedProxies = parseCidrList(config.trustedProxies);
  let publicAddress = config.publicAddress;
  const users = stack.use(
    await createUserSide({
      config,
      store,
      ca,
      rate,
      registry,
      counters,
      logging,
      trustedProxies,
      brokerAddress: () => publicAddress,
    }),
  );
  const ports = createPorts({
    config,
    users,
    connectors: connectors.arrivals,
    inherited,
    trustedProxies,
    counters,
    log,
  });
  let admin: AdminServer | null = null;
  // After the drain: whoever balances load in front of us reads on /readyz that it has begun.
  stack.defer(async () => await admin?.close());
  stack.defer(() => {
    if (state === "serving") {
      log.info("stopping: waiting for exchanges in flight", { atMostMs: config.drainMs });
    }
    state = "draining";
    return drain({ config, ports, users, connectors, counters });
  });
  const listeners = await listen(ports);
  if (publicAddress === "") publicAddress = connectorAddress(listeners);

  stack.use(
    new InactiveConnectors({
      store,
      connected: () => [...tunnels.all()].map(({ connectorId }) => connectorId),
      removeAfterMs: config.removeInactiveAfterMs,
      log,
    }),
  );

  admin = await serveAdmin(
    createAdminApp({
      store,
      inactiveAfterMs: config.inactiveAfterMs,
      live: liveConnectors(tunnels, registry.health, () => state),
      metrics: createMetrics({
        counters,
        beforeScrape: () => {
          counters.waitingRequests = registry.waiting + users.gates.waiting;
          counters.logLinesLost = logging.lost;
          counters.ingressConnectionsOpen = users.connections.open;
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
      configured: { logLevel: config.logLevel, sessionLog: config.sessionLog },
      missingForUsers: (externalUrl) =>
        missingForUsers(externalUrl, {
          config,
          publicPort: listeners.public?.port,
          hasCertificate: users.hasCertificate,
        }),
      inForce: async () => {
        await Promise.all([users.routed(), tunnels.settled()]);
      },
      log,
    }),
    parseListenAddress(config.adminListen)!,
  );
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

function flat(listeners: Listening): Record<string, string> {
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
