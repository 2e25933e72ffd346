import { chmodSync, closeSync, fchownSync, lstatSync, openSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { StoreError } from "./errors.ts";
import { isLocked, toStoreError } from "./sqlite_error.ts";
import { isErrno } from "./store_file.ts";

/** `shared`: works with the store. `exclusive`: replaces its file. */
export type LockKind = "shared" | "exclusive";

/**
 * Takes the lock beside a store's file, which keeps users of the store and its replacement apart; undefined gives it
 * back. It is a lock of the operating system on the empty SQLite file `PATH.lock`, so it ends with its process,
 * however that ends. Throws `store_in_use` when the other kind is taken, and what `toStoreError` says of a full disk or
 * a file that cannot be opened.
 */
export function lockStore(path: string, kind: LockKind): Disposable {
  const database = openLockFile(`${path}.lock`);
  try {
    // A read transaction holds SQLite's SHARED lock for as long as it is open; EXCLUSIVE tolerates no other.
    database.exec(kind === "shared" ? "BEGIN; SELECT count(*) FROM sqlite_schema" : "BEGIN EXCLUSIVE");
  } catch (cause) {
    database.close();
    if (!isLocked(cause)) throw toStoreError(cause);
    const state = kind === "shared" ? "it is being restored" : "a program is using it";
    throw new StoreError("store_in_use", `Cannot lock the store "${path}": ${state}`, {
      cause,
      details: { path },
    });
  }
  return {
    [Symbol.dispose]: () => {
      if (database.isOpen) database.close();
    },
  };
}

function openLockFile(path: string): DatabaseSync {
  try {
    makePrivate(path);
    const database = new DatabaseSync(path);
    database.exec("PRAGMA busy_timeout = 100");
    return database;
  } catch (cause) {
    throw toStoreError(cause);
  }
}

/** Who may read a file may lock it, and so keep us out. One that is there is not opened: closing it would drop our locks. */
function makePrivate(path: string): void {
  try {
    const file = openSync(path, "wx", 0o600);
    try {
      leaveToOwner(file, path);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (isErrno(error, "EEXIST")) allowOwnerOnly(path);
    // Else SQLite says it in the words that are known here.
  }
}

/** One of another owner is left to that one, as is a link: it may lead root to any file. */
function allowOwnerOnly(path: string): void {
  try {
    const found = lstatSync(path);
    if (found.isFile() && found.uid === (process.getuid?.() ?? found.uid)) chmodSync(path, 0o600);
  } catch {
    // Whether it can be used is seen at once.
  }
}

/**
 * A command that root runs must not shut out the broker that the folder belongs to. By descriptor: whoever may write in the
 * folder could have put a link to any file in the place of the name meanwhile.
 */
function leaveToOwner(file: number, path: string): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(dirname(path));
  fchownSync(file, uid, gid);
}
