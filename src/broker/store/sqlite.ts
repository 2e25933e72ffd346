import { dirname } from "node:path";
import type { Log } from "../../platform/log.ts";
import type { Timestamp } from "../model.ts";
import { adminTokenCalls } from "./admin_tokens.ts";
import { appChangeCalls } from "./app_changes.ts";
import { appCalls } from "./apps.ts";
import { auditCalls } from "./audit.ts";
import { backupStore } from "./backup.ts";
import { certificateCalls } from "./certificates.ts";
import { connectorCalls } from "./connectors.ts";
import { openConnections } from "./connections.ts";
import { Database } from "./database.ts";
import { enrolmentCalls } from "./enrolment.ts";
import type { StoreError } from "./errors.ts";
import { groupCalls } from "./groups.ts";
import { type Migration, MIGRATIONS } from "./migrations.ts";
import type { Store } from "./port.ts";
import { settingsCalls } from "./settings.ts";
import { createPrivateFile, syncToDisk } from "./store_file.ts";
import { lockStore } from "./store_lock.ts";

/** What a store needs to open. */
export interface StoreOptions {
  /** Database file; it is made (mode 0600), and its folder (0700), when missing. */
  path: string;
  clock?: { now(): Timestamp };
  /** Hears of listeners that fail. */
  log?: Log;
  /** Hears of each call that failed because the store did, not for what was asked. */
  onFailure?: (error: StoreError) => void;
  /** How long a change waits for a lock that another process holds, in milliseconds. */
  lockTimeoutMs?: number;
  /** False while nothing may be forgotten because of its age: the clock may be wrong. */
  mayForget?: () => boolean;
  /** Removed apps remembered for each group, so that a connector that was away learns of them one by one. */
  maxTombstones?: number;
  /** Steps to the newest schema: other ones only in tests. */
  migrations?: readonly Migration[];
}

/**
 * Opens the embedded store, in the newest schema. Throws `store_newer`, `store_damaged`, `store_in_use` (a restore is
 * going on), `store_unavailable`, `store_file_failed`.
 */
export async function openStore(options: StoreOptions): Promise<Store & AsyncDisposable> {
  const { path, clock = Date, lockTimeoutMs = 250, migrations = MIGRATIONS } = options;
  if (await createPrivateFile(path)) await syncToDisk(dirname(path));
  const lock = lockStore(path, "shared");
  try {
    const database = new Database(openConnections(path, lockTimeoutMs), { ...options, clock });
    try {
      await database.migrate(migrations);
      await database.read(async () => {});
    } catch (error) {
      await database.close();
      throw error;
    }
    return storeOf(database, path, lock);
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

function storeOf(database: Database, path: string, lock: Disposable): Store & AsyncDisposable {
  const close = async () => {
    await database.close();
    lock[Symbol.dispose]();
  };
  return {
    ...groupCalls(database),
    ...appCalls(database),
    ...appChangeCalls(database),
    ...connectorCalls(database),
    ...certificateCalls(database),
    ...enrolmentCalls(database),
    ...adminTokenCalls(database),
    ...settingsCalls(database),
    ...auditCalls(database),
    onChange: (listener) => database.feed.subscribe(listener),
    ping: () => database.ping(),
    writeTrouble: () => database.writeTrouble(),
    backup: (to) => backupStore(path, to),
    close,
    [Symbol.asyncDispose]: close,
  };
}
