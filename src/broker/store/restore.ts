import { randomBytes } from "node:crypto";
import { copyFile, link, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Actor, Timestamp } from "../model.ts";
import { Database } from "./database.ts";
import { StoreError } from "./errors.ts";
import { type Migration, MIGRATIONS } from "./migrations.ts";
import { openConnections } from "./connections.ts";
import { toStoreError } from "./sqlite_error.ts";
import { createPrivateFile, exists, fileStep, isErrno, syncToDisk } from "./store_file.ts";
import { lockStore } from "./store_lock.ts";

/** How a restore may be told more. */
export interface RestoreOptions {
  /** Who is written into the audit table of the restored store. */
  actor?: Actor;
  clock?: { now(): Timestamp };
  migrations?: readonly Migration[];
  /** Called once, when the copy is known to be good and before anything is replaced. */
  onReplace?: () => Promise<void>;
}

/** What a restore did. */
export interface Restored {
  /** The database that was replaced, or null when there was none. */
  replaced: string | null;
}

/**
 * Puts a backup in a store's place. The copy is checked (integrity, schema) and brought to the newest schema first;
 * the replaced database stays beside it as `TO.replaced-TIME`. Refused with `store_in_use` while any program has the
 * store open: ours are known by `TO.lock`, others by SQLite's own locks. Group revisions continue above all that
 * connectors may have learned, so each is sent its whole configuration. What had been revoked or deleted since the
 * backup is back. Also throws `store_damaged`, `store_newer`, `store_file_failed`, `store_unavailable`.
 */
export async function restoreStore(
  from: string,
  to: string,
  options: RestoreOptions = {},
): Promise<Restored> {
  const { clock = Date, migrations = MIGRATIONS } = options;
  const actor = options.actor ?? { kind: "system", id: "restore" };
  const temporary = `${to}.${randomBytes(6).toString("hex")}.restoring`;
  await createPrivateFile(temporary);
  try {
    using _lock = lockStore(to, "exclusive");
    await copyBackup(from, temporary);
    checkIntegrity(from, temporary);
    await prepare(temporary, from, actor, clock, migrations);
    foldWriteAheadLog(temporary);
    await syncToDisk(temporary);
    const isThere = await exists(to);
    const isWhole = isThere && foldWriteAheadLog(to); // Where somebody has it open, nothing has begun.
    await options.onReplace?.();
    const replaced = isThere ? await setAside(to, isWhole, clock.now()) : null;
    await fileStep("replace", to, async () => {
      // Of the old database; SQLite would take them for the new one's.
      for (const rest of ["-wal", "-shm", "-journal"]) await rm(to + rest, { force: true });
      await rename(temporary, to);
    });
    await syncToDisk(dirname(to));
    return { replaced };
  } finally {
    for (const rest of ["", "-wal", "-shm"]) await rm(temporary + rest, { force: true });
  }
}

async function copyBackup(from: string, to: string): Promise<void> {
  await fileStep("copy", from, async () => {
    if (await exists(`${from}-wal`)) {
      throw new StoreError(
        "store_damaged",
        `Cannot restore "${from}": it is no backup, a write-ahead log lies beside it`,
      );
    }
    await copyFile(from, to);
  });
}

function checkIntegrity(from: string, copy: string): void {
  try {
    const database = new DatabaseSync(copy);
    try {
      const found = database.prepare("PRAGMA integrity_check(1)").get() as
        | { integrity_check: string }
        | undefined;
      const orphans = database.prepare("PRAGMA foreign_key_check").all().length;
      if (found?.integrity_check === "ok" && orphans === 0) return;
      const state = orphans > 0 ? `${orphans} rows refer to nothing` : found?.integrity_check;
      throw new StoreError("store_damaged", `Cannot restore "${from}": ${state}`, {
        details: { path: from },
      });
    } finally {
      database.close();
    }
  } catch (error) {
    throw toStoreError(error);
  }
}

/** Newest schema, revisions that no connector can have seen, an audit entry. */
async function prepare(
  path: string,
  from: string,
  actor: Actor,
  clock: { now(): Timestamp },
  migrations: readonly Migration[],
): Promise<void> {
  const probe = new Database(openConnections(path, 0), { clock });
  try {
    await probe.migrate(migrations, "existing");
    await probe.write(async ({ db, now, audit, createId }) => {
      // Revisions grow by one a change, so seconds since the epoch are above any that was reached since the backup.
      const least = Math.floor(now / 1_000);
      for (const { id, revision } of await db.selectFrom("groups").select(["id", "revision"]).execute()) {
        const next = Math.max(revision + 1, least);
        await db.deleteFrom("app_tombstones").where("group_id", "=", id).execute();
        await db.updateTable("groups").set({ revision: next, floor: next }).where("id", "=", id).execute();
      }
      await audit(actor, "store.restore", createId(), { from });
    });
  } finally {
    await probe.close();
  }
}

/** Keeps the database under another name; the old name stays its own until the new file takes it. */
async function setAside(path: string, isWhole: boolean, now: Timestamp): Promise<string> {
  const time = new Date(now).toISOString().replace(/[:.]/g, "-");
  const aside = `${path}.replaced-${time}`;
  return await fileStep("set aside", path, async () => {
    // A damaged database keeps its write-ahead log, for whoever tries to save something.
    if (!isWhole && await exists(`${path}-wal`)) await rename(`${path}-wal`, `${aside}-wal`);
    await link(path, aside).catch(async (error) => {
      if (isErrno(error, "EEXIST")) throw error;
      await rename(path, aside); // a file system without links
    });
    return aside;
  });
}

/**
 * Moves the write-ahead log into the database file, which SQLite does only when nobody else has it open: that is how
 * a program that knows nothing of our lock is found out. False when the file is too damaged.
 */
function foldWriteAheadLog(path: string): boolean {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path);
    database.exec("PRAGMA busy_timeout = 100");
    database.exec("PRAGMA journal_mode = DELETE");
    return true;
  } catch (cause) {
    const failure = toStoreError(cause);
    if (failure.code === "store_damaged") return false;
    if (failure.code !== "store_unavailable") throw failure;
    throw new StoreError("store_in_use", `Cannot replace the store "${path}": a program has it open`, {
      cause,
    });
  } finally {
    database?.close();
  }
}
