import { chmodSync, closeSync, openSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { StateError } from "./errors.ts";
import { LOCK_FILE } from "./state_folder.ts";

const MOST_ATTEMPTS = 10;

/**
 * Makes this process the only user of a state folder until disposed. It is a lock of the operating system (SQLite's,
 * on an empty file), so it ends with its process however that ends, and holds between containers that share the
 * folder, where process ids would mean nothing. Throws `state_in_use`, `state_not_registered`, `state_unwritable`.
 */
export function lockState(stateDir: string): AsyncDisposable {
  const path = join(stateDir, LOCK_FILE);
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    const lock = tryLock(path, stateDir);
    if (lock !== null) return { [Symbol.asyncDispose]: async () => release(lock, path) };
  }
  throw new StateError("state_in_use", `Cannot lock "${stateDir}": others keep taking it`);
}

/** Null when the file that was locked is no longer the one of that name: its holder removed it meanwhile. */
function tryLock(path: string, stateDir: string): DatabaseSync | null {
  let database: DatabaseSync | undefined;
  try {
    createIfMissing(path);
    const before = statSync(path).ino;
    database = new DatabaseSync(path);
    database.exec("PRAGMA busy_timeout = 0; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
    if (inode(path) === before) return database;
    database.close();
    return null;
  } catch (cause) {
    database?.close();
    if (/locked|busy/i.test(String(cause))) {
      throw new StateError(
        "state_in_use",
        `Cannot use "${stateDir}": another connector is running with it; stop it first, or: run --take-over`,
        { cause },
      );
    }
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" && inode(stateDir) !== null) return null;
    if (code === "ENOENT") {
      throw new StateError("state_not_registered", `Cannot find "${stateDir}": register first`, { cause });
    }
    throw new StateError("state_unwritable", `Cannot lock "${path}": ${(cause as Error).message}`, { cause });
  }
}

/**
 * Only a file that is new is opened here: to open and close one that this process has locked would end that lock
 * (fcntl(2), "advisory record locking").
 */
function createIfMissing(path: string): void {
  try {
    closeSync(openSync(path, "wx", 0o600));
    chmodSync(path, 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

function release(database: DatabaseSync, path: string): void {
  // While it is still held: whoever opened it by now notices that it has gone.
  if (process.platform !== "win32") rmSync(path, { force: true });
  database.close();
}

function inode(path: string): number | null {
  return statSync(path, { throwIfNoEntry: false })?.ino ?? null;
}
