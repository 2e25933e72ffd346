/** How long an exchange waits, in milliseconds; 0 means no limit. */
export interface AppTimeouts {
  /** To connect to the backend, its TLS handshake included. */
  connectMs: number;
  /** From the whole request being sent until the response begins. */
  responseHeadMs: number;
  /** Between two parts of a body. */
  idleMs: number;
  /** For the whole exchange, from the request's arrival; not for upgraded connections. */
  totalMs: number;
  /** Of an upgraded connection (WebSocket) on which neither side sends. */
  upgradedIdleMs: number;
}

/** Least version of TLS towards a backend. */
export type TlsVersion = "TLSv1.2" | "TLSv1.3";

/** How a connector checks the TLS certificate of an `https` backend, and what it shows of itself. */
export interface AppBackendTls {
  /** False accepts any certificate: for an administrator who knows why. */
  validate: boolean;
  /** PEM certificates trusted instead of the system's. */
  ca?: string;
  /** Name sent as SNI and checked in the certificate, where it differs from the backend's host. */
  serverName?: string;
  minVersion: TlsVersion;
  /** Name of a certificate and key configured on the connector's own host: keys never leave their host. */
  clientCertificate?: string;
}

/**
 * What is spoken with a backend. `auto`: HTTP/2 where a request needs it and the backend offers it, else HTTP/1.1; `h2`: HTTP/2 over
 * TLS; `h2c`: HTTP/2 in the clear, known beforehand.
 */
export type BackendProtocol = "auto" | "http1" | "h2" | "h2c";

/** How a connector finds out whether a backend is well; times in milliseconds. */
export interface HealthCheck {
  /** `http`: a GET of `path` is answered with 2xx or 3xx; `tcp`: a connection is made. */
  type: "http" | "tcp";
  path: string;
  intervalMs: number;
  timeoutMs: number;
  /** Successes in a row that make it healthy. */
  healthyAfter: number;
  /** Failures in a row that make it unhealthy. */
  unhealthyAfter: number;
}

/** What a connector knows of an app of its group: what it needs to reach the backend, no more. */
export interface ConnectorApp {
  id: string;
  /** Revision of the group's configuration at which this app last changed. */
  revision: number;
  /** Origin of the backend, e.g. `http://10.0.0.5:8080`: scheme `http` or `https`, no path. */
  origin: string;
  timeouts: AppTimeouts;
  tls: AppBackendTls;
  backendProtocol: BackendProtocol;
  healthCheck: HealthCheck | null;
}

/** Time-outs where an administrator says nothing. */
export const DEFAULT_TIMEOUTS: AppTimeouts = {
  connectMs: 10_000,
  responseHeadMs: 85_000,
  idleMs: 85_000,
  totalMs: 0,
  upgradedIdleMs: 3_600_000,
};

/** TLS towards backends where an administrator says nothing. */
export const DEFAULT_BACKEND_TLS: AppBackendTls = { validate: true, minVersion: "TLSv1.2" };

/** What is not said of a health check. */
export const DEFAULT_HEALTH_CHECK: HealthCheck = {
  type: "http",
  path: "/",
  intervalMs: 10_000,
  timeoutMs: 5_000,
  healthyAfter: 2,
  unhealthyAfter: 3,
};
