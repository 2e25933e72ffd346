import { constants } from "node:fs";
import { chmod, open, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { makeFolder } from "../../platform/make_folder.ts";
import { StoreError } from "./errors.ts";

/**
 * Makes a file that only its owner may read and write, and its folder (0700) when that is missing. False when the
 * file was there; it is not opened then, because closing it would drop SQLite's locks of this process.
 */
export async function createPrivateFile(path: string): Promise<boolean> {
  return await fileStep("create", path, async () => {
    await makeFolder(dirname(path), 0o700);
    try {
      await (await open(path, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600)).close();
      return true;
    } catch (error) {
      if (!isErrno(error, "EEXIST")) throw error;
      await chmod(path, 0o600).catch(async (cause) => {
        if (!isErrno(cause, "EPERM")) throw cause;
        throw fileFailed("use", path, ownedByAnother((await stat(path)).uid));
      });
      return false;
    }
  });
}

/** True when something has this name. */
export async function exists(path: string): Promise<boolean> {
  return await stat(path).then(() => true, (error) => {
    if (isErrno(error, "ENOENT")) return false;
    throw fileFailed("read", path, error);
  });
}

/** Waits until a file or folder is on disk. */
export async function syncToDisk(path: string): Promise<void> {
  await fileStep("sync", path, async () => {
    const isFolder = (await stat(path)).isDirectory();
    if (isFolder && process.platform === "win32") return; // a folder cannot be opened there
    const file = await open(path, isFolder ? constants.O_RDONLY : constants.O_RDWR);
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  });
}

/** Runs one step on a file; what fails is `store_file_failed`. */
export async function fileStep<T>(action: string, path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    throw error instanceof StoreError ? error : fileFailed(action, path, error);
  }
}

/** True for an error of the operating system with this code. */
export function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

function ownedByAnother(uid: number): Error {
  return new Error(`it belongs to user ${uid}, and this program runs as user ${process.getuid?.() ?? "?"}`);
}

function fileFailed(action: string, path: string, cause: unknown): StoreError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new StoreError("store_file_failed", `Cannot ${action} "${path}": ${why}`, {
    cause,
    details: { path },
  });
}
