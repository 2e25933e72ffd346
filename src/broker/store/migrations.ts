import { DEFAULT_GROUP_ID, DEFAULT_GROUP_NAME } from "../model.ts";

/** One step from an older schema to the next: statements that run in one transaction. */
export interface Migration {
  id: number;
  name: string;
  statements: readonly string[];
}

const RECORD =
  `id TEXT PRIMARY KEY, version INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL`;

/**
 * All steps, oldest first, ids 1, 2, 3 ... A step that has been released is never edited: a change of the schema is a
 * new step at the end.
 */
export const MIGRATIONS: readonly Migration[] = [
  {
    id: 1,
    name: "first tables",
    statements: [
      `CREATE TABLE groups (${RECORD}, name TEXT NOT NULL, name_key TEXT NOT NULL UNIQUE,
         revision INTEGER NOT NULL, floor INTEGER NOT NULL) STRICT`,
      `INSERT INTO groups VALUES ('${DEFAULT_GROUP_ID}', 1, unixepoch() * 1000, unixepoch() * 1000,
         '${DEFAULT_GROUP_NAME}', '${DEFAULT_GROUP_NAME.toLowerCase()}', 1, 1)`,

      `CREATE TABLE apps (${RECORD}, name TEXT NOT NULL, name_key TEXT NOT NULL UNIQUE,
         group_id TEXT NOT NULL REFERENCES groups (id), external_urls TEXT NOT NULL, internal_url TEXT NOT NULL,
         enabled INTEGER NOT NULL, host_header TEXT NOT NULL, timeouts TEXT NOT NULL, backend_tls TEXT NOT NULL,
         revision INTEGER NOT NULL) STRICT`,
      `CREATE INDEX apps_by_group ON apps (group_id, id)`,
      `CREATE INDEX apps_by_revision ON apps (group_id, revision)`,

      `CREATE TABLE app_urls (url_key TEXT PRIMARY KEY,
         app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE) STRICT, WITHOUT ROWID`,
      `CREATE INDEX app_urls_by_app ON app_urls (app_id)`,

      `CREATE TABLE app_tombstones (group_id TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
         app_id TEXT NOT NULL, revision INTEGER NOT NULL, PRIMARY KEY (group_id, app_id)) STRICT, WITHOUT ROWID`,
      `CREATE INDEX app_tombstones_by_revision ON app_tombstones (group_id, revision)`,

      `CREATE TABLE connectors (${RECORD}, group_id TEXT NOT NULL REFERENCES groups (id), machine_name TEXT NOT NULL,
         os TEXT NOT NULL, software_version TEXT NOT NULL, external_ip TEXT NOT NULL, enabled INTEGER NOT NULL,
         last_seen_at INTEGER, certificate_serial TEXT NOT NULL, certificate_not_after INTEGER NOT NULL,
         public_key_sha256 TEXT NOT NULL UNIQUE, enrolment_token_id TEXT NOT NULL) STRICT`,
      `CREATE INDEX connectors_by_group ON connectors (group_id, id)`,

      `CREATE TABLE certificates (serial TEXT PRIMARY KEY, connector_id TEXT NOT NULL, issued_at INTEGER NOT NULL,
         not_after INTEGER NOT NULL, pem TEXT NOT NULL, revoked_at INTEGER) STRICT`,
      `CREATE INDEX certificates_by_connector ON certificates (connector_id)`,
      `CREATE INDEX certificates_by_expiry ON certificates (not_after)`,

      `CREATE TABLE enrolment_tokens (${RECORD}, description TEXT NOT NULL,
         group_id TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE, expires_at INTEGER NOT NULL,
         max_uses INTEGER NOT NULL, uses INTEGER NOT NULL, revoked_at INTEGER,
         secret_sha256 TEXT NOT NULL UNIQUE) STRICT`,
      `CREATE INDEX enrolment_tokens_by_group ON enrolment_tokens (group_id)`,

      `CREATE TABLE admin_tokens (${RECORD}, name TEXT NOT NULL, last_used_at INTEGER, revoked_at INTEGER,
         secret_sha256 TEXT NOT NULL UNIQUE) STRICT`,

      `CREATE TABLE settings (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL,
         updated_at INTEGER NOT NULL, value TEXT NOT NULL) STRICT`,
      `INSERT INTO settings VALUES (1, 1, unixepoch() * 1000, '{}')`,

      `CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, actor_kind TEXT NOT NULL,
         actor_id TEXT NOT NULL, actor_address TEXT, action TEXT NOT NULL, target TEXT NOT NULL,
         details TEXT NOT NULL) STRICT`,
    ],
  },
  {
    id: 2,
    name: "how an app's requests are treated",
    statements: [`ALTER TABLE apps ADD COLUMN traffic TEXT NOT NULL DEFAULT '{}'`],
  },
  {
    id: 3,
    name: "certificates one by one, tokens for one machine or network",
    statements: [
      `ALTER TABLE certificates ADD COLUMN not_before INTEGER NOT NULL DEFAULT 0`,
      `ALTER TABLE certificates ADD COLUMN public_key_sha256 TEXT NOT NULL DEFAULT ''`,
      `ALTER TABLE certificates ADD COLUMN used_at INTEGER`,
      `ALTER TABLE certificates ADD COLUMN revocation_reason TEXT`,
      `ALTER TABLE enrolment_tokens ADD COLUMN machine_name TEXT`,
      `ALTER TABLE enrolment_tokens ADD COLUMN networks TEXT NOT NULL DEFAULT '[]'`,
      `ALTER TABLE enrolment_tokens ADD COLUMN connector_id TEXT`,
    ],
  },
  {
    id: 4,
    name: "how long connectors were away",
    statements: [`ALTER TABLE connectors ADD COLUMN absent_ms INTEGER NOT NULL DEFAULT 0`],
  },
  {
    id: 5,
    name: "which roots connectors trust",
    statements: [`ALTER TABLE connectors ADD COLUMN trusted_roots TEXT NOT NULL DEFAULT '[]'`],
  },
  {
    id: 6,
    name: "external URLs without their scheme",
    statements: [
      // From "https://host:443/path/" to "host/path/". Where two apps have one place now, who was served keeps it.
      `INSERT OR IGNORE INTO app_urls
         SELECT CASE WHEN scheme = 'https' AND host GLOB '*:443' THEN substr(host, 1, length(host) - 4)
                     WHEN scheme = 'http' AND host GLOB '*:80' THEN substr(host, 1, length(host) - 3)
                     ELSE host END || substr(rest, length(host) + 1), app_id
         FROM (SELECT *, substr(rest, 1, instr(rest, '/') - 1) AS host
               FROM (SELECT app_id, substr(url_key, 1, instr(url_key, '://') - 1) AS scheme,
                            substr(url_key, instr(url_key, '://') + 3) AS rest FROM app_urls))
         JOIN apps ON apps.id = app_id ORDER BY apps.enabled DESC, app_id`,
      `DELETE FROM app_urls WHERE url_key GLOB 'http://*' OR url_key GLOB 'https://*'`,
    ],
  },
];
