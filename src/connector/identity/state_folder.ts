import type { Stats } from "node:fs";
import { chmod, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "../../platform/make_folder.ts";
import { StateError } from "./errors.ts";

/** Files of an identity. `broker.json` is written last: a folder that has it is registered. */
export const BROKER_FILE = "broker.json";
export const CA_FILE = "ca.pem";
export const KEY_FILE = "key.pem";
export const CERTIFICATE_FILE = "certificate.pem";
/** Held by the one process that uses the folder. */
export const LOCK_FILE = "lock";

/** Makes the folder (0700) where it is missing; true when it was. Throws `state_unwritable`, `state_unreadable`, `state_permissions`. */
export async function prepareStateFolder(stateDir: string): Promise<boolean> {
  const found = await look(stateDir);
  if (found !== null) {
    if (!found.isDirectory()) throw unreadable(stateDir, new Error("it is not a folder"));
    await checkOwner(stateDir);
    await checkPermissions(stateDir);
    return false;
  }
  return await writing(stateDir, async () => {
    const created = await makeFolder(stateDir, 0o700);
    await chmod(stateDir, 0o700);
    return created;
  });
}

/**
 * To be called before anything is written: throws `state_permissions` when root would write in a folder of another user,
 * who could do nothing with what is root's in it. Nobody else can write there by mistake.
 */
export async function checkOwner(stateDir: string): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const uid = (await look(stateDir))?.uid ?? 0;
  if (uid === 0) return;
  throw new StateError(
    "state_permissions",
    `Cannot use "${stateDir}": it is of user ${uid}, and this program runs as root; run it as that user, or: ` +
      `chown -R root "${stateDir}"`,
    { details: { path: stateDir, uid } },
  );
}

/** Throws `state_permissions` when others may write in the folder, or read the key in it. Windows is left to its own rules. */
export async function checkPermissions(stateDir: string): Promise<void> {
  if (process.platform === "win32") return;
  for (
    const [path, forbidden, cure] of [
      [stateDir, 0o022, "chmod 700"],
      [join(stateDir, KEY_FILE), 0o077, "chmod 600"],
    ] as const
  ) {
    const mode = (await look(path))?.mode ?? 0;
    if ((mode & forbidden) === 0) continue;
    const state = `its mode is ${(mode & 0o777).toString(8)}`;
    throw new StateError("state_permissions", `Cannot trust "${path}": ${state}; run: ${cure} "${path}"`, {
      details: { path, mode: (mode & 0o777).toString(8) },
    });
  }
}

/** Content of a file of the folder; null when there is none. Throws `state_unreadable`. */
export async function readState(stateDir: string, name: string): Promise<string | null> {
  const path = join(stateDir, name);
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if (isMissing(cause)) return null;
    throw unreadable(path, cause);
  }
}

/** Runs `write`, its failures as `state_unwritable`. */
export async function writing<T>(path: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (cause) {
    if (cause instanceof StateError) throw cause;
    throw new StateError("state_unwritable", `Cannot write "${path}": ${reasonOf(cause)}`, {
      cause,
      details: { path },
    });
  }
}

/** Removes a file of the folder if it is there. Throws `state_unwritable`. */
export async function removeState(stateDir: string, name: string): Promise<void> {
  const path = join(stateDir, name);
  await writing(path, () => rm(path, { force: true }));
}

async function look(path: string): Promise<Stats | null> {
  try {
    return await stat(path);
  } catch (cause) {
    if (isMissing(cause)) return null;
    throw unreadable(path, cause);
  }
}

function unreadable(path: string, cause: unknown): StateError {
  return new StateError("state_unreadable", `Cannot read "${path}": ${reasonOf(cause)}`, {
    cause,
    details: { path },
  });
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | null)?.code === "ENOENT";
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
