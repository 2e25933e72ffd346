/** How long a connector waits for a backend, in milliseconds; 0 means no limit. */
export interface AppTimeouts {
  connectMs: number;
  responseHeadMs: number;
  idleMs: number;
}

/** How a connector checks the TLS certificate of an `https` backend. */
export interface AppBackendTls {
  /** False accepts any certificate: for an administrator who knows why. */
  validate: boolean;
  /** PEM certificates trusted instead of the system's. */
  ca?: string;
  /** Name sent as SNI and checked in the certificate, where it differs from the backend's host. */
  serverName?: string;
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
}

/** Defaults of design section 4. */
export const DEFAULT_TIMEOUTS: AppTimeouts = { connectMs: 10_000, responseHeadMs: 85_000, idleMs: 85_000 };
