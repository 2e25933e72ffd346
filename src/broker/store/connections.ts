import { DatabaseSync } from "node:sqlite";
import { toStoreError } from "./sqlite_error.ts";

/** Bytes that an idle write-ahead log is cut back to. */
const MAX_IDLE_LOG_BYTES = 16 * 1024 * 1024;

/** Two connections to one file: the first may change it, the second only reads. */
export interface Connections {
  writer: DatabaseSync;
  reader: DatabaseSync;
  /** How long a change waits for a lock that another process holds, milliseconds. */
  lockTimeoutMs: number;
}

/**
 * Opens both. `lockTimeoutMs`: how long a call waits for a lock that another process holds. Opening and reading wait
 * for it with all else in this process, which the write-ahead log makes rare; a change waits alone.
 */
export function openConnections(path: string, lockTimeoutMs: number): Connections {
  const opened: DatabaseSync[] = [];
  const open = (...pragmas: string[]) => {
    const database = new DatabaseSync(path);
    opened.push(database);
    for (const pragma of [`busy_timeout = ${lockTimeoutMs}`, ...pragmas]) database.exec(`PRAGMA ${pragma}`);
    return database;
  };
  try {
    const writer = open(
      "journal_mode = WAL",
      "synchronous = FULL",
      "foreign_keys = ON",
      `journal_size_limit = ${MAX_IDLE_LOG_BYTES}`,
    );
    const reader = open("query_only = ON");
    writer.exec("PRAGMA busy_timeout = 0"); // SQLite would wait asleep, and every request of a user with it.
    return { writer, reader, lockTimeoutMs };
  } catch (error) {
    for (const database of opened) database.close();
    throw toStoreError(error);
  }
}
