import { DatabaseSync } from "node:sqlite";
import type { Actor } from "../model.ts";
import { toStoreError } from "./sqlite_error.ts";
import { exists } from "./store_file.ts";
import { lockStore } from "./store_lock.ts";

/** What an audit entry says. `details`: secrets masked. */
export interface AuditedAction {
  actor: Actor;
  action: string;
  target: string;
  details: Readonly<Record<string, unknown>>;
}

/** How long a broker that is writing is waited for. */
const BUSY_MS = 5_000;

/**
 * Runs a change of something beside the store with its audit entry: the entry is kept if and only if the change succeeds. A
 * broker may be using the store; it cannot write meanwhile, so the change must be short. Without a store there is no entry.
 * Throws what `change` throws, `store_in_use`, `store_unavailable`, `store_damaged`, `store_failed`.
 */
export async function audited<T>(
  path: string,
  { actor, action, target, details }: AuditedAction,
  change: () => Promise<T>,
): Promise<T> {
  if (!await exists(path)) return await change();
  using _lock = lockStore(path, "shared");
  const database = run(() => new DatabaseSync(path, { timeout: BUSY_MS }));
  try {
    run(() => {
      database.exec("PRAGMA synchronous = FULL; BEGIN IMMEDIATE");
      database.prepare(
        "INSERT INTO audit (at, actor_kind, actor_id, actor_address, action, target, details) VALUES (?, ?, ?, ?, ?, ?, ?)",
      ).run(Date.now(), actor.kind, actor.id, actor.address ?? null, action, target, JSON.stringify(details));
    });
    const result = await change();
    run(() => database.exec("COMMIT"));
    return result;
  } finally {
    database.close(); // It rolls back what is not committed.
  }
}

function run<T>(step: () => T): T {
  try {
    return step();
  } catch (cause) {
    throw toStoreError(cause);
  }
}
