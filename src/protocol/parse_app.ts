import {
  type AppBackendTls,
  type AppTimeouts,
  type BackendProtocol,
  type ConnectorApp,
  DEFAULT_BACKEND_TLS,
  DEFAULT_TIMEOUTS,
  type HealthCheck,
  type TlsVersion,
} from "./app.ts";
import { count, flag, isRecord, oneOf, record, refuse, text } from "./fields.ts";
import { MAX_MESSAGE_BYTES } from "./limits.ts";

const PROTOCOLS: readonly BackendProtocol[] = ["auto", "http1", "h2", "h2c"];
const TLS_VERSIONS: readonly TlsVersion[] = ["TLSv1.2", "TLSv1.3"];
const CHECK_TYPES: readonly HealthCheck["type"][] = ["http", "tcp"];

/** Reads an app; what an older broker does not say has its default. Throws `ProtocolError`. */
export function parseApp(value: unknown): ConnectorApp {
  if (!isRecord(value)) refuse("app: not a map");
  const { backendProtocol, healthCheck } = value;
  return {
    id: text(value, "id", 64),
    revision: count(value, "revision"),
    origin: text(value, "origin", 2048),
    timeouts: parseTimeouts(record(value, "timeouts")),
    tls: parseTls(record(value, "tls")),
    backendProtocol: backendProtocol === undefined ? "auto" : oneOf(value, "backendProtocol", PROTOCOLS),
    healthCheck: healthCheck == null ? null : parseHealthCheck(record(value, "healthCheck")),
  };
}

function parseTimeouts(value: Record<string, unknown>): AppTimeouts {
  const later = (name: "totalMs" | "upgradedIdleMs") =>
    value[name] === undefined ? DEFAULT_TIMEOUTS[name] : count(value, name);
  return {
    connectMs: count(value, "connectMs"),
    responseHeadMs: count(value, "responseHeadMs"),
    idleMs: count(value, "idleMs"),
    totalMs: later("totalMs"),
    upgradedIdleMs: later("upgradedIdleMs"),
  };
}

function parseTls(value: Record<string, unknown>): AppBackendTls {
  const { ca, serverName, minVersion, clientCertificate } = value;
  return {
    validate: flag(value, "validate"),
    ...(ca === undefined ? {} : { ca: text(value, "ca", MAX_MESSAGE_BYTES) }),
    ...(serverName === undefined ? {} : { serverName: text(value, "serverName", 255) }),
    minVersion: minVersion === undefined
      ? DEFAULT_BACKEND_TLS.minVersion
      : oneOf(value, "minVersion", TLS_VERSIONS),
    ...(clientCertificate === undefined ? {} : { clientCertificate: text(value, "clientCertificate", 64) }),
  };
}

function parseHealthCheck(value: Record<string, unknown>): HealthCheck {
  return {
    type: oneOf(value, "type", CHECK_TYPES),
    path: text(value, "path", 2048),
    intervalMs: count(value, "intervalMs"),
    timeoutMs: count(value, "timeoutMs"),
    healthyAfter: count(value, "healthyAfter"),
    unhealthyAfter: count(value, "unhealthyAfter"),
  };
}
