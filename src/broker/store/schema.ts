import type { Generated } from "kysely";

/** Columns that every record has. */
interface RecordColumns {
  id: string;
  version: number;
  created_at: number;
  updated_at: number;
}

export interface GroupTable extends RecordColumns {
  name: string;
  /** Folded name: what has to be unique. */
  name_key: string;
  /** Configuration revision: grows with each change of the group's apps. */
  revision: number;
  /** Tombstones up to this revision have been dropped: who knows less gets everything. */
  floor: number;
}

export interface AppTable extends RecordColumns {
  name: string;
  name_key: string;
  group_id: string;
  /** JSON array, as the administrator wrote them. */
  external_urls: string;
  internal_url: string;
  enabled: number;
  host_header: string;
  /** JSON. */
  timeouts: string;
  backend_tls: string;
  /** JSON of `AppTraffic`; what it lacks has its default. */
  traffic: string;
  revision: number;
}

/** Places of external URLs (`externalUrlKey`): the primary key is what makes each belong to one app. */
export interface AppUrlTable {
  url_key: string;
  app_id: string;
}

/** Apps that connectors of a group have to forget: deleted, disabled, or moved to another group. */
export interface TombstoneTable {
  group_id: string;
  app_id: string;
  revision: number;
}

export interface ConnectorTable extends RecordColumns {
  group_id: string;
  machine_name: string;
  os: string;
  software_version: string;
  external_ip: string;
  enabled: number;
  last_seen_at: number | null;
  certificate_serial: string;
  certificate_not_after: number;
  public_key_sha256: string;
  /** Milliseconds without a tunnel while a broker ran, since its last one. */
  absent_ms: number;
  /** JSON array: fingerprints of the roots that it has said are on its disk. */
  trusted_roots: string;
  /** Token it enrolled with; the token may be gone. */
  enrolment_token_id: string;
}

/** Certificates issued, kept until they expire even when their connector is gone: what a revocation list is made of. */
export interface CertificateTable {
  serial: string;
  connector_id: string;
  issued_at: number;
  not_before: number;
  not_after: number;
  pem: string;
  /** Of the key that it was issued for; empty for those issued before this was recorded. */
  public_key_sha256: string;
  /** When a tunnel was first opened with it. */
  used_at: number | null;
  revoked_at: number | null;
  revocation_reason: string | null;
}

export interface EnrolmentTokenTable extends RecordColumns {
  description: string;
  group_id: string;
  expires_at: number;
  max_uses: number;
  uses: number;
  revoked_at: number | null;
  secret_sha256: string;
  /** Null: any machine. */
  machine_name: string | null;
  /** JSON array of CIDR networks; empty: from anywhere. */
  networks: string;
  /** The connector that it lets register again; null: it makes new ones. */
  connector_id: string | null;
}

export interface AdminTokenTable extends RecordColumns {
  name: string;
  last_used_at: number | null;
  revoked_at: number | null;
  secret_sha256: string;
}

/** One row, id 1. */
export interface SettingsTable {
  id: number;
  version: number;
  updated_at: number;
  /** JSON of what differs from the defaults. */
  value: string;
}

export interface AuditTable {
  id: Generated<number>;
  at: number;
  actor_kind: string;
  actor_id: string;
  actor_address: string | null;
  action: string;
  target: string;
  /** JSON. */
  details: string;
}

export interface MigrationTable {
  id: number;
  name: string;
  applied_at: number;
}

/** The tables of the newest schema. Times are milliseconds since the epoch, truth values 0 and 1. */
export interface Schema {
  groups: GroupTable;
  apps: AppTable;
  app_urls: AppUrlTable;
  app_tombstones: TombstoneTable;
  connectors: ConnectorTable;
  certificates: CertificateTable;
  enrolment_tokens: EnrolmentTokenTable;
  admin_tokens: AdminTokenTable;
  settings: SettingsTable;
  audit: AuditTable;
  migrations: MigrationTable;
}
