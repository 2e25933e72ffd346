import type { Environment } from "../../platform/configuration.ts";
import { formatHostPort } from "../../protocol/address.ts";
import type { ConnectorApp } from "../../protocol/app.ts";
import { AllowList } from "../backend/allow_list.ts";
import { ClientCertificates } from "../backend/client_certificates.ts";
import { probeBackend, type ProbeOptions } from "../backend/probe.ts";
import { brokerAddresses } from "../broker_addresses.ts";
import type { ConnectorConfiguration } from "../config.ts";
import { type Identity, loadIdentity } from "../identity/identity.ts";
import { backendProxy, brokerProxy } from "../outbound/broker_proxy.ts";
import { readStatus } from "../status/client.ts";
import { statusSocketPath } from "../status/socket_path.ts";
import { type BrokerWay, checkBroker, checkBrokerClock, checkName, checkProxy } from "./broker_checks.ts";
import { type Check, check, type Finding, skipped } from "./check.ts";
import { cureFor } from "./cures.ts";
import { checkDisk, checkStateFolder, describeAllowList } from "./host_checks.ts";
import { pullApps } from "./short_tunnel.ts";

/** What `doctor` needs. */
export interface DiagnoseOptions {
  config: ConnectorConfiguration;
  env: Environment;
  signal: AbortSignal;
  /** Told which check runs now. */
  onBegin?: (name: string) => void;
}

const STEP_MS = 10_000;
const DAY_MS = 86_400_000;
const STATUS_MS = 5_000;
/** Backends that are tried at a time. */
const AT_ONCE = 8;

/** Looks at everything between this host's disk and its backends, in the order in which it is needed; never throws. */
export async function* diagnose(
  { config, env, signal, onBegin = () => {} }: DiagnoseOptions,
): AsyncGenerator<Check> {
  const { stateDir } = config;
  const run = (name: string, work: () => Promise<Finding> | Finding) => {
    onBegin(name);
    return check(name, work);
  };
  const folder = await run("state folder", () => checkStateFolder(stateDir));
  yield folder;
  yield folder.code === "state_not_registered"
    ? skipped("disk", "there is no state folder")
    : await run("disk", () => checkDisk(stateDir));
  yield await run("allow list", () => {
    new AllowList(config.allow);
    return describeAllowList(config.allow);
  });
  let identity: Identity | null = null;
  yield await run("certificate", async () => {
    identity = await loadIdentity(stateDir, { allowExpired: true });
    identity = await loadIdentity(stateDir);
    return describeCertificate(identity);
  });
  const brokerChecks = ["broker name", "proxy", "broker", "clock", "tunnel", "backends"];
  if (identity === null) {
    for (const name of brokerChecks) yield skipped(name, "there is no identity that can be used");
    return;
  }
  let proxyFor: BrokerWay["proxyFor"] = () => null;
  const setting = await check("proxy", () => {
    proxyFor = brokerProxy(config, env);
    return "";
  });
  const known: Identity = identity;
  const ways = brokerAddresses(config).map((address = known.address): BrokerWay => (
    { identity: { ...known, address }, proxyFor, stepMs: STEP_MS, signal }
  ));
  /** By which the broker answers, if there is any. */
  let answering: BrokerWay | null = null;
  for (const way of ways) {
    const by = ways.length === 1 ? "" : ` by ${formatHostPort(way.identity.address)}`;
    yield await run(`broker name${by}`, () => checkName(way));
    const proxy = setting.status === "failed" ? setting : await run(`proxy${by}`, () => checkProxy(way));
    yield proxy;
    if (proxy.status === "failed") {
      for (const name of ["broker", "clock"]) {
        yield skipped(`${name}${by}`, "there is no way through the proxy");
      }
      continue;
    }
    const broker = await run(`broker${by}`, () => checkBroker(way));
    yield broker;
    if (broker.status === "failed") {
      yield skipped(`clock${by}`, "the broker does not answer");
      continue;
    }
    answering ??= way;
    yield await run(`clock${by}`, () => checkBrokerClock(way));
  }
  let apps: ConnectorApp[] = [];
  const tunnel = await run("tunnel", async () => {
    const running = await statusOf(stateDir);
    if (running !== null) {
      apps = running.apps;
      return running.finding;
    }
    apps = unlike(await pullApps(answering ?? ways[0]!));
    return {
      status: "warning",
      found: "the broker accepts it; no connector runs here",
      cure: "start the connector",
    };
  });
  yield tunnel;
  if (tunnel.status === "failed" && apps.length === 0) {
    return void (yield skipped("backends", "no app is known"));
  }
  if (apps.length === 0) return void (yield { ...skipped("backends", "this connector's group has no apps") });
  const options: ProbeOptions = { allow: new AllowList([]) };
  const means = await check("backends", () => {
    options.allow = new AllowList(config.allow);
    options.clientCertificates = new ClientCertificates(config.backendClientCertificates);
    options.clientCertificates.check();
    options.proxyFor = backendProxy(config, env);
    return "";
  });
  if (means.status === "failed") return void (yield means);
  for (let at = 0; at < apps.length && !signal.aborted; at += AT_ONCE) {
    const some = apps.slice(at, at + AT_ONCE);
    onBegin(`backends ${at + 1} to ${at + some.length} of ${apps.length}`);
    yield* await Promise.all(some.map((app) => checkBackend(app, options)));
  }
}

function describeCertificate({ connectorId, notAfter }: Identity): string {
  const days = Math.floor((notAfter - Date.now()) / DAY_MS);
  return `connector ${connectorId}, valid until ${new Date(notAfter).toISOString()} (${days} days)`;
}

/** What the running connector says; null where none runs. */
async function statusOf(stateDir: string): Promise<{ finding: Finding; apps: ConnectorApp[] } | null> {
  const path = statusSocketPath(stateDir);
  try {
    const status = await readStatus(path, STATUS_MS);
    const { apps } = await readStatus(path, STATUS_MS, "/apps") as { apps: ConnectorApp[] };
    const tunnels = status.tunnels as {
      state: string;
      lastError?: string;
      lanesIdle?: number;
      lanesBusy?: number;
      shutOut?: { todo: string };
    }[];
    const up = tunnels.filter(({ state }) => state === "connected");
    const found =
      `${up.length} of ${tunnels.length} connected, configuration revision ${status.configRevision}`;
    const errors = tunnels.flatMap(({ lastError }) => lastError ?? []);
    const finding: Finding = up.length === tunnels.length ? found : {
      status: "failed",
      found: [found, ...errors].join("; "),
      cure: tunnels.find(({ shutOut }) => shutOut !== undefined)?.shutOut?.todo ??
        "see the checks above, and the connector's log",
    };
    return { finding, apps: unlike(apps) };
  } catch (error) {
    if ((error as { code?: string }).code === "connector_not_running") return null;
    throw error;
  }
}

/** Apps whose backends are reached in different ways: one that several apps share is tried once. */
function unlike(apps: readonly ConnectorApp[]): ConnectorApp[] {
  const ways = new Map(apps.map((app) => {
    const { origin, timeouts: { connectMs, responseHeadMs }, tls, backendProtocol, healthCheck } = app;
    const way = JSON.stringify([origin, connectMs, responseHeadMs, tls, backendProtocol, healthCheck]);
    return [way, app] as const;
  }));
  return [...ways.values()];
}

async function checkBackend(app: ConnectorApp, options: ProbeOptions): Promise<Check> {
  const steps = await probeBackend(app, options);
  const ms = Math.round(steps.reduce((sum, step) => sum + step.ms, 0) * 10) / 10;
  const failure = steps.at(-1)?.failure;
  const found = steps.map(({ step, ms, found, failure }) =>
    `${step} ${ms.toFixed(1)} ms ${failure === undefined ? found : `failed: ${failure.message}`}`.trim()
  ).join(", ");
  const name = `backend ${app.origin}`;
  if (failure === undefined) return { name, status: "ok", found, ms };
  return { name, status: "failed", found, ms, code: failure.code, cure: cureFor(failure.code) };
}
