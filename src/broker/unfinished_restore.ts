import { readFile } from "node:fs/promises";
import type { DataFolder } from "./data_folder.ts";
import { StoreError } from "./store/errors.ts";
import { exists, fileStep } from "./store/store_file.ts";

/**
 * Keeps a broker from a data folder in which a restore was cut short: store and authority may be of different brokers.
 * Throws `restore_unfinished`, `store_file_failed`.
 */
export async function refuseUnfinishedRestore({ root, restoring }: DataFolder): Promise<void> {
  if (!await exists(restoring)) return;
  const from = (await fileStep("read", restoring, () => readFile(restoring, "utf8"))).trim();
  throw new StoreError(
    "restore_unfinished",
    `Cannot use the data folder "${root}": a restore from "${from}" was cut short; run it again`,
    { details: { path: root, from } },
  );
}
