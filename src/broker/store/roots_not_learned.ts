import { DatabaseSync } from "node:sqlite";
import { toStoreError } from "./sqlite_error.ts";
import { exists } from "./store_file.ts";
import { lockStore } from "./store_lock.ts";

/** A connector that has not said that it keeps a root. */
export interface UnawareConnector {
  id: string;
  machineName: string;
  /** ISO 8601; null: never. */
  lastSeenAt: string | null;
}

/** How long a broker that is writing is waited for. */
const BUSY_MS = 5_000;

/**
 * The enabled connectors that have not said that a root (fingerprint) is on their disk, from the store at `path`, which a
 * broker may be using. None without a store. Throws `store_in_use`, `store_unavailable`, `store_damaged`, `store_failed`.
 */
export async function connectorsWithoutRoot(path: string, root: string): Promise<UnawareConnector[]> {
  if (!await exists(path)) return [];
  using _lock = lockStore(path, "shared");
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { timeout: BUSY_MS });
    const columns = database.prepare("SELECT name FROM pragma_table_info('connectors')").all();
    // A store of an earlier release: no connector has said anything yet.
    const knows = columns.some(({ name }) => name === "trusted_roots")
      ? "EXISTS (SELECT 1 FROM json_each(trusted_roots) WHERE value = ?)"
      : "? IS NULL";
    const rows = database.prepare(
      `SELECT id, machine_name, last_seen_at FROM connectors WHERE enabled = 1 AND NOT ${knows} ORDER BY id`,
    ).all(root);
    return rows.map(({ id, machine_name, last_seen_at }) => ({
      id: String(id),
      machineName: String(machine_name),
      lastSeenAt: last_seen_at === null ? null : new Date(Number(last_seen_at)).toISOString(),
    }));
  } catch (cause) {
    throw toStoreError(cause);
  } finally {
    database?.close();
  }
}
