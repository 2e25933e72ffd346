/**
 * The connector's composition root: what starts in which order, what stops in which order, and why.
 *
 * Start: logs; the state folder, which two processes never share; the identity; the backends; the status socket, which
 * answers even while no tunnel is up; then the tunnels. Stop is the reverse: the broker is told to begin
 * nothing new, exchanges in flight end, then the tunnels, and so on.
 */
import { randomUUID } from "node:crypto";
import { hostname, release, type } from "node:os";
import { certificateFingerprint, readCertificates } from "../platform/certificate.ts";
import type { Environment } from "../platform/configuration.ts";
import { createLogging } from "../platform/logging.ts";
import type { LogLevel } from "../platform/log.ts";
import type { Secret } from "../platform/secret.ts";
import { PROBE_CAPABILITY } from "../protocol/probe.ts";
import { VERSION } from "../platform/version.ts";
import { formatHostPort } from "../protocol/address.ts";
import { parseTrustNotice } from "../protocol/certificates.ts";
import { OLDEST_PROTOCOL_REVISION, PROTOCOL_REVISION } from "../protocol/messages.ts";
import { CreditBudget } from "../tunnel/credit_budget.ts";
import type { Fields } from "../tunnel/control_channel.ts";
import { AllowList } from "./backend/allow_list.ts";
import { checkBackend } from "./backend/check.ts";
import { ClientCertificates } from "./backend/client_certificates.ts";
import { createBackends } from "./backend/backends.ts";
import { systemResolver } from "./backend/resolver.ts";
import { BackendHealth } from "./backend_health.ts";
import { brokerAddresses, describeAddresses } from "./broker_addresses.ts";
import { Comeback } from "./comeback.ts";
import type { ConnectorConfiguration } from "./config.ts";
import { ensureRegistered } from "./first_registration.ts";
import { type Identity, loadIdentity } from "./identity/identity.ts";
import { checkOwner } from "./identity/state_folder.ts";
import { checkTrust, saveTrust } from "./identity/trust.ts";
import { KnownApps } from "./known_apps.ts";
import { backendProxy, brokerProxy } from "./outbound/broker_proxy.ts";
import { Renewer, type RenewerOptions } from "./renewer.ts";
import { Supervisor } from "./supervisor.ts";
import { Tenancy } from "./tenancy.ts";
import type { TrustTeller, TunnelContext } from "./tunnel_context.ts";
import type { DialTarget } from "./tunnel_socket.ts";

/** How the program was called. */
export interface RunOptions {
  /** One JSON line on standard output once the first tunnel is ready. */
  json: boolean;
  signal: AbortSignal;
  /** Where `HTTPS_PROXY`, `NO_PROXY` and credentials of proxies are looked for; nowhere by default. */
  env?: Environment;
  /** Another process that serves with the same state hands over, instead of being an error. */
  takeOver?: boolean;
  /** The enrolment token for a host that is not registered; null where there is none. */
  token?: () => Promise<Secret | null>;
  /** Another clock for renewals, and who is told of their steps: for tests that end the process at one of them. */
  renewal?: Pick<RenewerOptions, "now" | "onStep">;
}

const DIAL_STEP_MS = 10_000;
const MAX_LANES = 16_384;
const LEVELS: ReadonlySet<unknown> = new Set<LogLevel>(["debug", "info", "warn", "error"]);

/** Runs a connector until the signal is aborted and all is stopped. */
export async function runConnector(
  config: ConnectorConfiguration,
  {
    json,
    signal,
    token = () => Promise.resolve(null),
    renewal: renewalOptions = {},
    takeOver = false,
    env = {},
  }: RunOptions,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const logging = createLogging({
    level: config.logLevel,
    format: config.logFormat,
    sessionLog: config.sessionLog,
  });
  stack.defer(() => logging.flush());
  const { log } = logging;

  const proxyFor = brokerProxy(config, env);
  const proxyForBackends = backendProxy(config, env);
  const targetOf = ({ address, tunnelName, ca, certificate, key }: Identity): DialTarget => (
    { address, tunnelName, ca, certificate, key: key.reveal(), proxyFor }
  );
  // A slip in the configuration is to show before a use of the token is spent.
  const clientCertificates = new ClientCertificates(config.backendClientCertificates);
  clientCertificates.check();
  const allow = new AllowList(config.allow);
  await checkOwner(config.stateDir);
  if (!await ensureRegistered(config, { token, log, signal, proxyFor })) return;
  const instanceId = randomUUID();
  /** False while another process has the state folder. */
  let mayWrite = true;
  const replaced = new AbortController();
  const stopped = AbortSignal.any([signal, replaced.signal]);
  const tenancy = stack.use(
    await Tenancy.take({
      stateDir: config.stateDir,
      snapshot: (question) => question === "/apps" ? { apps: [...apps.all()] } : snapshot(),
      yielding: async (successor) => {
        for (const { tunnel } of supervisors) tunnel?.announceSuccessor(successor);
        mayWrite = false;
        renewing.abort();
        await Promise.all([renewal, trusting, comeback.stop()]);
      },
      resumed: async () => {
        await reread();
        mayWrite = true;
        startRenewals();
      },
      replaced: () => replaced.abort(),
      log,
    }, takeOver ? instanceId : null),
  );
  let identity = await loadIdentity(config.stateDir).catch((error: { code?: string }) => {
    if (error.code !== "certificate_expired") throw error;
    return loadIdentity(config.stateDir, { allowExpired: true }); // It may come back.
  });
  /** Another process may have had the folder, and another certificate for it. */
  const reread = async (): Promise<void> => {
    const kept = await loadIdentity(config.stateDir, { allowExpired: true }).catch(() => null);
    if (kept !== null) identity = kept;
  };
  const { lookup } = systemResolver();
  const backends = createBackends({ allow, clientCertificates, log, proxyFor: proxyForBackends, lookup });
  stack.defer(() => backends.close());

  const apps = new KnownApps();
  const means = { allow, clientCertificates, proxyFor: proxyForBackends, lookup };
  const health = stack.use(
    new BackendHealth({
      app: (id) => apps.get(id),
      check: (app, signal) => checkBackend(app, { backends, means }, signal),
      tell: (appId, isUp) => {
        for (const { tunnel } of supervisors) tunnel?.tellBackend(appId, isUp);
      },
      log,
    }),
  );
  let wanted = { latest: "", desired: "" };
  let trusting = Promise.resolve();
  const takeTrust = async (fields: Fields, tunnel: TrustTeller): Promise<void> => {
    const ca = checkTrust(parseTrustNotice(fields).ca, identity.ca, Date.now());
    if (!mayWrite) return; // The successor is told of them, too.
    if (ca !== null) {
      await saveTrust(config.stateDir, ca);
      identity = { ...identity, ca };
      renewer.look();
      log.info("trust anchors of the broker have changed", { anchors: readCertificates(ca).length });
    }
    // Only now: the broker believes that they outlive this process.
    tunnel.tellTrust(readCertificates(identity.ca).map(certificateFingerprint));
  };
  stack.defer(() => trusting);
  const notices: Record<string, (fields: Fields, tunnel: TrustTeller) => void> = {
    "log.level": ({ level, session }) => {
      if (LEVELS.has(level)) logging.setLevel(level as LogLevel);
      if (typeof session === "boolean") logging.setSessionLog(session);
    },
    // One after the other: a later announcement must not be overwritten by an earlier one.
    "trust": (fields, tunnel) => {
      trusting = trusting.then(() => takeTrust(fields, tunnel)).catch((error: Error) =>
        log.warn("trust anchors not taken over", {
          error: error.message,
          code: (error as { code?: string }).code ?? "error",
        })
      );
    },
    "drain": ({ graceMs }) => log.info("the broker is about to stop", { graceMs }),
  };
  const context: TunnelContext = {
    backends,
    apps,
    health,
    budget: new CreditBudget(config.exchangeMemoryBytes),
    log,
    sessionLog: logging.session,
    times: { pingIntervalMs: config.pingIntervalMs, timeoutMs: config.tunnelTimeoutMs },
    maxLanes: MAX_LANES,
    configPullIntervalMs: config.configPullIntervalMs,
    versionPollIntervalMs: config.versionPollIntervalMs,
    hello: {
      revision: PROTOCOL_REVISION,
      oldestRevision: OLDEST_PROTOCOL_REVISION,
      capabilities: [PROBE_CAPABILITY],
      softwareVersion: VERSION,
      machineName: config.machineName || hostname(),
      os: `${type()} ${release()}`,
      instanceId,
    },
    onNotice: (kind, fields, tunnel) => notices[kind]?.(fields, tunnel),
    onVersion: (answer) => {
      if (answer.desired !== "" && answer.desired !== VERSION && answer.desired !== wanted.desired) {
        log.warn("another version should run here", { running: VERSION, desired: answer.desired });
      }
      wanted = answer;
    },
  };
  const comeback = new Comeback({
    stateDir: config.stateDir,
    identity: () => identity,
    use: (next) => identity = { ...next, ca: identity.ca },
    targetOf,
    machineName: context.hello.machineName,
    os: context.hello.os,
    stepMs: DIAL_STEP_MS,
    proxyFor,
    log,
  });
  let announced = false;
  const addresses = brokerAddresses(config);
  const supervisors: Supervisor[] = Array.from({ length: config.tunnels * addresses.length }, (_, index) => {
    const address = addresses[index % addresses.length];
    return new Supervisor({
      address,
      context,
      log,
      stepMs: DIAL_STEP_MS,
      drainMs: config.drainMs,
      target: async (signal) => {
        if (supervisors.some(({ shutOut }) => shutOut !== null)) await reread();
        if (mayWrite) await comeback.ensure(signal, address);
        return targetOf(identity);
      },
      onReady: () => {
        renewer.look();
        tenancy.ready();
        if (announced || !json) return;
        announced = true;
        process.stdout.write(`${JSON.stringify({ ready: true, id: identity.connectorId })}\n`);
      },
    });
  });
  const renewer = new Renewer({
    stateDir: config.stateDir,
    identity: () => identity,
    // What was announced meanwhile stays.
    use: (next) => identity = { ...next, ca: identity.ca },
    targetOf,
    supervisors,
    log,
    ...renewalOptions,
  });

  let renewing = new AbortController();
  let renewal: Promise<void> = Promise.resolve();
  const startRenewals = (): void => {
    renewing = new AbortController();
    renewal = renewer.run(AbortSignal.any([stopped, renewing.signal]));
  };
  const snapshot = () => ({
    id: identity.connectorId,
    version: VERSION,
    latestVersion: wanted.latest,
    desiredVersion: wanted.desired,
    broker: describeAddresses(addresses, identity.address),
    certificateNotAfter: new Date(identity.notAfter).toISOString(),
    ...renewer.facts,
    groupId: apps.groupId,
    configRevision: apps.revision,
    apps: apps.size,
    appsOutOfReach: health.outOfReach,
    tunnels: supervisors.map((supervisor) => ({
      state: supervisor.state,
      ...(supervisor.address === undefined ? {} : { address: formatHostPort(supervisor.address) }),
      ...supervisor.tunnel?.facts,
      ...(supervisor.lastError === null ? {} : { lastError: supervisor.lastError.message }),
      ...(supervisor.shutOut === null ? {} : { shutOut: supervisor.shutOut }),
    })),
    logLinesLost: logging.lost,
  });
  await tenancy.serve();
  log.info("connector starting", {
    version: VERSION,
    connector: identity.connectorId,
    broker: describeAddresses(addresses, identity.address),
  });
  startRenewals();
  await Promise.all(supervisors.map((supervisor) => supervisor.run(stopped)));
  await renewal;
  log.info("connector stopped");
}
