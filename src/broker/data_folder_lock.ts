import { join } from "node:path";
import { makeFolder } from "../platform/make_folder.ts";
import { StoreError } from "./store/errors.ts";
import { fileStep } from "./store/store_file.ts";
import { lockStore } from "./store/store_lock.ts";

/**
 * Takes a data folder for one broker, making it where it is missing; undefined gives it back, and so does the end of
 * the process. Brokers that inherit their sockets may overlap, for then one takes the other's place and both answer for
 * the same listeners; any other second one is refused: the two would tell one another nothing of what changes. Throws
 * `store_in_use`, `store_file_failed`.
 */
export async function lockDataFolder(root: string, inheritsSockets: boolean): Promise<Disposable> {
  await fileStep("create", root, () => makeFolder(root, 0o700));
  try {
    return lockStore(join(root, "broker"), inheritsSockets ? "shared" : "exclusive");
  } catch (cause) {
    if (!(cause instanceof StoreError) || cause.code !== "store_in_use") throw cause;
    throw new StoreError(
      "store_in_use",
      `Cannot use the data folder "${root}": another broker runs on it, or it is being restored`,
      {
        cause,
        details: { path: root },
      },
    );
  }
}
