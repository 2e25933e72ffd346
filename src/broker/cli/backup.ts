import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { copyFile, mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { syncFolder, writeFileAtomically } from "../../platform/atomic_file.ts";
import { makeFolder } from "../../platform/make_folder.ts";
import { CaFolder } from "../ca/ca_folder.ts";
import { changing } from "../ca/roll_over.ts";
import { dataFolder } from "../data_folder.ts";
import { lockDataFolder } from "../data_folder_lock.ts";
import { checkDataFolderOwner } from "../data_folder_modes.ts";
import { backupStore } from "../store/backup.ts";
import { restoreStore } from "../store/restore.ts";
import { exists, syncToDisk } from "../store/store_file.ts";
import { CommandError } from "./errors.ts";

/** What a restore put aside: nothing where there was nothing. */
export interface RestoreResult {
  replacedStore: string | null;
  replacedCa: string | null;
}

/** What there is in a data folder. */
export interface BackupOptions {
  /** True where another program signs (`caSignCommand`): then there is no CA in it, and none is looked for. */
  isCaElsewhere?: boolean;
}

/**
 * Copies everything a broker is made of (store, CA, first admin token) into a new folder, also while it runs. The
 * folder has its name only when it is whole. Throws `backup_failed` and the store's codes.
 */
export async function backupDataFolder(
  dataDir: string,
  to: string,
  { isCaElsewhere = false }: BackupOptions = {},
): Promise<void> {
  const from = dataFolder(dataDir);
  const target = resolve(to);
  if (!await exists(from.store)) {
    throw new CommandError("backup_failed", `Cannot back up "${dataDir}": there is no store in it`);
  }
  if (!isCaElsewhere && !await exists(from.ca)) {
    throw new CommandError(
      "backup_failed",
      `Cannot back up "${dataDir}": there is no certificate authority in it; where caSignCommand names another one, ` +
        "give the broker's --config",
    );
  }
  if (await exists(target)) throw new CommandError("backup_failed", `Cannot back up to "${to}": it exists`);
  const unfinished = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString("hex")}.partial`);
  try {
    await step("back up", to, () => makeFolder(unfinished, 0o700));
    const copy = dataFolder(unfinished);
    await backupStore(from.store, copy.store);
    await step("back up", to, async () => {
      // Its files belong together: nobody may change them meanwhile.
      if (!isCaElsewhere) await changing(new CaFolder(dataDir, null), () => copyFolder(from.ca, copy.ca));
      if (await exists(from.adminToken)) await copyToDisk(from.adminToken, copy.adminToken);
      await syncFolder(unfinished);
      await rename(unfinished, target);
      await syncFolder(dirname(target));
    });
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

/**
 * Puts a backup in the place of a data folder's store and CA; both replaced stay beside. One that is cut short while it
 * replaces them keeps brokers away (`restore_unfinished`) until it is run again. Throws `restore_refused`, `store_in_use`
 * while a broker runs on the folder, and the store's other codes.
 */
export async function restoreDataFolder(
  backup: string,
  dataDir: string,
  { isCaElsewhere = false }: BackupOptions = {},
): Promise<RestoreResult> {
  const from = dataFolder(backup);
  const to = dataFolder(dataDir);
  if (!await exists(from.store) || !isCaElsewhere && !await exists(from.ca)) {
    throw new CommandError("restore_refused", `Cannot restore "${backup}": it is no backup made by "backup"`);
  }
  // A name that the broker clears away at its next start, should this be cut off.
  const staged = join(dataDir, `ca.${randomBytes(6).toString("hex")}.new`);
  await checkDataFolderOwner(dataDir);
  using _lock = await lockDataFolder(dataDir, false);
  try {
    if (!isCaElsewhere) await step("restore", backup, () => copyFolder(from.ca, staged));
    const { replaced: replacedStore } = await restoreStore(from.store, to.store, {
      onReplace: () => writeFileAtomically(to.restoring, `${resolve(backup)}\n`, 0o600),
    });
    return await step("restore", backup, async () => {
      const isReplaced = !isCaElsewhere && await exists(to.ca);
      const replacedCa = isReplaced ? `${to.ca}.replaced-${fileTime(Date.now())}` : null;
      if (replacedCa !== null) await rename(to.ca, replacedCa);
      if (!isCaElsewhere) await rename(staged, to.ca);
      if (await exists(from.adminToken)) {
        await writeFileAtomically(to.adminToken, await readFile(from.adminToken), 0o600);
      }
      await syncFolder(dataDir);
      await rm(to.restoring, { force: true });
      await syncFolder(dataDir);
      return { replacedStore, replacedCa };
    });
  } finally {
    await rm(staged, { recursive: true, force: true });
  }
}

/** A moment as it may stand in a file's name. */
export function fileTime(at: number): string {
  return new Date(at).toISOString().replace(/[:.]/g, "-");
}

/** The authority's files: small, flat, private. */
async function copyFolder(from: string, to: string): Promise<void> {
  await mkdir(to, { mode: 0o700 });
  for (const name of await readdir(from)) {
    if (name.endsWith(".pem")) await copyToDisk(join(from, name), join(to, name));
  }
  await syncFolder(to);
}

/** A copy that a loss of power does not take back once its folder is synced as well. */
async function copyToDisk(from: string, to: string): Promise<void> {
  await copyFile(from, to, constants.COPYFILE_EXCL);
  await syncToDisk(to);
}

async function step<T>(action: "back up" | "restore", path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const code = action === "back up" ? "backup_failed" : "restore_refused";
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CommandError(code, `Cannot ${action} "${path}": ${why}`, { cause });
  }
}
