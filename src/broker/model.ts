import type { AppBackendTls, AppTimeouts } from "../protocol/app.ts";
import type { AppTraffic } from "./app_traffic.ts";

/** Milliseconds since the epoch. */
export type Timestamp = number;

/** What every stored record has. `version` grows by one with each change and is the record's ETag. */
export interface StoredRecord {
  id: string;
  version: number;
  createdAt: Timestamp;
  updatedAt: Timestamp;
}

/** Connectors that are interchangeable. */
export interface Group extends StoredRecord {
  name: string;
}

/** Id and name of the group that always exists. */
export const DEFAULT_GROUP_ID = "default";
export const DEFAULT_GROUP_NAME = "Default";

/** What an administrator says of an app. */
export interface AppSettings extends AppTraffic {
  /** Unique, for people. */
  name: string;
  groupId: string;
  /** Where users find it: absolute URLs; the host may start with `*.`; the path is a prefix, e.g. `https://wiki.example.com/docs`. */
  externalUrls: readonly string[];
  /** Where the backend is; its path replaces the external prefix, e.g. `http://10.0.0.5:8080/wiki`. */
  internalUrl: string;
  enabled: boolean;
  /** Which Host the backend gets: its own (from `internalUrl`) or the user's. */
  hostHeader: "backend" | "user";
  timeouts: AppTimeouts;
  backendTls: AppBackendTls;
}

/** A published application. `revision` is the group's configuration revision at its last change. */
export interface App extends StoredRecord, AppSettings {
  revision: number;
}

/** A connector as the store knows it; whether it is connected now is the registry's to say. */
export interface ConnectorRecord extends StoredRecord {
  groupId: string;
  machineName: string;
  os: string;
  /** Version of the software at its last hello. */
  softwareVersion: string;
  externalIp: string;
  enabled: boolean;
  lastSeenAt: Timestamp | null;
  /** Serial number of its newest certificate, lower-case hex. */
  certificateSerial: string;
  certificateNotAfter: Timestamp;
  /** SHA-256 of the public key (SPKI, DER) that it registered with, lower-case hex: the same key asking twice is the same connector. */
  publicKeySha256: string;
}

/** A certificate issued to a connector. Only one that is on record and not revoked opens a tunnel. */
export interface CertificateRecord {
  /** Lower-case hex. */
  serial: string;
  /** The connector may be gone. */
  connectorId: string;
  issuedAt: Timestamp;
  notBefore: Timestamp;
  notAfter: Timestamp;
  /** SHA-256 of the public key (SPKI, DER), lower-case hex. */
  publicKeySha256: string;
  /** When a tunnel was first opened with it. */
  usedAt: Timestamp | null;
  revokedAt: Timestamp | null;
  revocationReason: string | null;
}

/** A permission to enrol; the secret itself is never stored, only its SHA-256. */
export interface EnrolmentToken extends StoredRecord {
  description: string;
  groupId: string;
  expiresAt: Timestamp;
  maxUses: number;
  uses: number;
  revokedAt: Timestamp | null;
  /** The only machine that may use it, by the name it gives; null: any. */
  machineName: string | null;
  /** CIDR networks that it may be used from; empty: any. */
  networks: readonly string[];
  /** The connector that it lets register again, with its id and group; null: it makes new connectors. */
  connectorId: string | null;
}

/**
 * What an open tunnel of a connector is at. `greeting`: its connector has not introduced itself yet; `ready`: it serves;
 * `stuck`: exchanges do not get through it, so it is given none; `draining`: what has begun goes on, and nothing new begins.
 */
export const TUNNEL_STATES = ["greeting", "ready", "stuck", "draining"] as const;

/** One of `TUNNEL_STATES`. */
export type TunnelState = (typeof TUNNEL_STATES)[number];

/** A bearer token of the admin API; only its SHA-256 is stored. */
export interface AdminToken extends StoredRecord {
  name: string;
  lastUsedAt: Timestamp | null;
  revokedAt: Timestamp | null;
}

/** Settings that an administrator may change while the broker runs. */
export interface Settings {
  /** Newest released version of the software, or empty when unknown. */
  latestVersion: string;
  /** Version that connectors should run, or empty for "whatever they have". */
  desiredConnectorVersion: string;
  sessionLog: boolean;
  logLevel: "debug" | "info" | "warn" | "error";
  /** Whether a connector whose certificate expired while it was off may get a new one by proving its old key. */
  reenrolment: boolean;
  /** Days after the end of its certificate within which it may. */
  reenrolmentGraceDays: number;
  /** Whether two processes (instances) may have tunnels with one connector's identity at once. */
  sharedIdentity: "allow" | "refuse";
}

/** Who did something, for the audit table. */
export interface Actor {
  kind: "admin" | "connector" | "system";
  /** Admin token id, connector id, or a component's name. */
  id: string;
  address?: string;
}

/** One line of the audit table: what changed, by whom. */
export interface AuditEntry {
  id: number;
  at: Timestamp;
  actor: Actor;
  /** E.g. `app.create`, `token.revoke`, `connector.enrol`. */
  action: string;
  /** Id of what was changed. */
  target: string;
  /** Fields changed, secrets masked. */
  details: Readonly<Record<string, unknown>>;
}
