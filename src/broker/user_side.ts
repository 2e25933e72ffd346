import type { IncomingMessage, ServerResponse } from "node:http";
import { getRequestListener } from "@hono/node-server";
import type { Logging } from "../platform/logging.ts";
import { FlushQueue } from "../tunnel/flush_queue.ts";
import type { Ca } from "./ca/ca.ts";
import type { CertificateRate } from "./ca/certificate_rate.ts";
import type { BrokerConfiguration } from "./config.ts";
import { createEnrolmentApp } from "./enrol/app.ts";
import { AppGates } from "./ingress/app_gates.ts";
import { createCertificates } from "./ingress/certificates.ts";
import { createClientFacts } from "./ingress/client_facts.ts";
import { FailureLog } from "./ingress/failure_log.ts";
import { READ_BEYOND } from "./ingress/head_limits.ts";
import { IdleSweep } from "./ingress/idle_sweep.ts";
import { KeptBodies } from "./ingress/kept_bodies.ts";
import { PausedUsers } from "./ingress/paused_users.ts";
import { createIngress, type IngressDeps } from "./ingress/ingress.ts";
import { createRequestIds } from "./ingress/request_id.ts";
import { viaNames } from "./ingress/request_marks.ts";
import { createRouter } from "./ingress/router.ts";
import type { CidrList } from "./listener/address.ts";
import { clientAddressOf } from "./listener/client_address.ts";
import { ConnectionLimit } from "./listener/connection_limit.ts";
import type { PlainOptions } from "./listener/plain.ts";
import { createPublicTls, type PublicTls } from "./listener/public_tls.ts";
import type { DataPlaneCounters } from "./metrics/counters.ts";
import type { EndCause } from "./metrics/end_causes.ts";
import type { App } from "./model.ts";
import { endsTls, NO_CERTIFICATE, servesNobody, UncoveredHosts } from "./no_certificate.ts";
import { serveOwnCertificate } from "./own_certificate.ts";
import type { Registry } from "./registry/registry.ts";
import type { Store } from "./store/port.ts";

/** What the side of users is made of. */
export interface UserSideParts {
  config: BrokerConfiguration;
  store: Store;
  ca: Ca;
  rate: CertificateRate;
  /** Where requests get lanes from. */
  registry: Registry;
  counters: DataPlaneCounters;
  logging: Logging;
  /** Whose word on the user behind them counts. */
  trustedProxies: CidrList;
  /** The address that connectors are told at enrolment. */
  brokerAddress: () => string;
}

/** The broker's side of users; enrolment is on it, too, since who enrols has no certificate yet. */
export interface UserSide extends AsyncDisposable {
  /** Takes connections to every name but that of tunnels. */
  readonly publicTls: PublicTls;
  /** What a port without TLS serves. */
  readonly plain: Required<Pick<PlainOptions, "handlers" | "limits" | "connections">>;
  readonly gates: AppGates;
  /** Whether there is a certificate for users of a host. */
  readonly hasCertificate: (host: string) => boolean;
  /** Resolves when requests are routed by all that the store has told so far. */
  readonly routed: () => Promise<void>;
  readonly connections: ConnectionLimit;
  /** Told why a connection was ended, where it was neither the user's wish nor ours. */
  readonly onEnded: (cause: EndCause) => void;
}

/** Composes routes, certificates, ingress and enrolment, and the TLS server in front of them. */
export async function createUserSide(
  { config, store, ca, rate, registry, counters, logging, trustedProxies, brokerAddress }: UserSideParts,
): Promise<UserSide> {
  await using stack = new AsyncDisposableStack();
  const { log } = logging;
  const certificates = stack.use(
    await createCertificates({ files: config.certificates, minVersion: config.tlsMinVersion, log }),
  );
  if (servesNobody(config)) log.warn(NO_CERTIFICATE);
  const hasCertificate = (host: string) => certificates.contextFor(host) !== undefined;
  const uncovered = new UncoveredHosts(hasCertificate);
  const onRead = (apps: readonly App[]): void => {
    for (const facts of uncovered.take(apps)) log.warn("No certificate for the host of an app", facts);
  };
  const router = stack.use(await createRouter({ store, log, ...(endsTls(config) ? { onRead } : {}) }));
  stack.defer(serveOwnCertificate(ca, certificates, config.enrolName));

  const enrolment = createEnrolmentApp({
    store,
    ca,
    rate,
    brokerAddress,
    tunnelName: config.tunnelName,
    log,
    sourceAddress: (c) => clientAddressOf((c.env as { incoming: IncomingMessage }).incoming.socket).address,
    counters: { enrolled: () => {}, refused: (code) => counters.failed(code) },
  });
  const serveEnrolment = getRequestListener(enrolment.fetch, { overrideGlobalObjects: false });
  const gates = new AppGates();
  const shared: Omit<IngressDeps, "own"> = {
    lanes: registry,
    counters,
    sessionLog: logging.session,
    failures: new FailureLog(log),
    log,
    router,
    clientFacts: createClientFacts(trustedProxies),
    requestIds: createRequestIds(),
    turns: new FlushQueue(setImmediate),
    gates,
    userIdleMs: config.userIdleMs,
    kept: new KeptBodies(),
    via: viaNames(ca.caFingerprint),
    idleSweep: stack.use(new IdleSweep()),
    pausedUsers: stack.use(new PausedUsers()),
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
    handlers: createIngress({
      ...shared,
      own: {
        enrolment: {
          name: config.enrolName,
          onRequest: (req: IncomingMessage, res: ServerResponse) => void serveEnrolment(req, res),
        },
        misdirected: [config.tunnelName],
      },
      sameCertificate: (serverName, host) =>
        certificates.contextFor(serverName) === certificates.contextFor(host),
    }),
    log,
    minVersion: config.tlsMinVersion,
    limits,
    connections,
    handshakeTimeoutMs: config.helloTimeoutMs,
  });
  const handlers = createIngress({
    ...shared,
    own: { misdirected: [config.tunnelName, config.enrolName] },
  });
  const parts = stack.move();
  return {
    publicTls,
    plain: { handlers, limits, connections },
    gates,
    hasCertificate,
    routed: () => router.settled(),
    connections,
    onEnded,
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}
