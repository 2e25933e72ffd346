import { randomBytes } from "node:crypto";
import { link, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { backup, DatabaseSync } from "node:sqlite";
import { StoreError } from "./errors.ts";
import { toStoreError } from "./sqlite_error.ts";
import { createPrivateFile, exists, fileStep, isErrno, syncToDisk } from "./store_file.ts";

/** Pages in one step, more than any store has: one step is one snapshot, so changes made meanwhile restart nothing. */
const ALL_PAGES = 0x7fff_ffff;

/**
 * Writes a consistent copy of a store to a new file (0600) while it is in use; the copying runs off the main thread.
 * Throws `store_file_exists`, `store_unavailable`, `store_file_failed`; then nothing has the name.
 */
export async function backupStore(from: string, to: string): Promise<void> {
  if (await exists(to)) throw fileExists(to);
  const temporary = `${to}.${randomBytes(6).toString("hex")}.partial`;
  try {
    await createPrivateFile(temporary);
    await copyDatabase(from, temporary);
    await syncToDisk(temporary);
    await giveName(temporary, to);
    await syncToDisk(dirname(to));
  } finally {
    await rm(temporary, { force: true });
  }
}

/** A connection of its own, so that the copy and the store's calls do not wait for each other. */
async function copyDatabase(from: string, to: string): Promise<void> {
  try {
    const source = new DatabaseSync(from, { readOnly: true });
    try {
      await backup(source, to, { rate: ALL_PAGES });
    } finally {
      source.close();
    }
  } catch (error) {
    throw toStoreError(error);
  }
}

/** Unlike a rename, a link never replaces a file; where the file system has no links, a last look has to do. */
async function giveName(temporary: string, to: string): Promise<void> {
  await fileStep("write", to, async () => {
    try {
      await link(temporary, to);
    } catch (error) {
      if (isErrno(error, "EEXIST") || await exists(to)) throw fileExists(to);
      await rename(temporary, to);
    }
  });
}

function fileExists(path: string): StoreError {
  return new StoreError("store_file_exists", `Cannot write "${path}": the file exists`, {
    details: { path },
  });
}
