import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { DataFolder } from "./data_folder.ts";
import { StoreError } from "./store/errors.ts";
import { fileStep, isErrno } from "./store/store_file.ts";

const WRITE = 0o002;
const ANY = 0o007;

/**
 * Keeps a broker from a data folder that just anybody on the host may write, or whose keys anybody may read; what a group
 * may is its administrator's choice. Windows is left to its own rules. Throws `data_folder_permissions`.
 */
export async function checkDataFolderModes({ root, ca, adminToken }: DataFolder): Promise<void> {
  if (process.platform === "win32") return;
  await check(root, WRITE, "o-w");
  await check(ca, WRITE, "o-w");
  await check(adminToken, ANY, "o-rwx");
  const names = await fileStep("read", ca, () => readdir(ca).catch(nothingIfMissing<string[]>([])));
  for (const name of names) {
    if (name.endsWith(".pem")) await check(join(ca, name), ANY, "o-rwx");
  }
}

/**
 * To be called before a command writes: throws `data_folder_permissions` where root would leave files of its own in the
 * folder of a broker that runs as another user, and could do nothing with them.
 */
export async function checkDataFolderOwner(root: string): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const uid = await fileStep("read", root, () => stat(root).then(({ uid }) => uid, nothingIfMissing(0)));
  if (uid === 0) return;
  throw new StoreError(
    "data_folder_permissions",
    `Cannot change "${root}": it is of user ${uid}, and this program runs as root; run it as that user: sudo -u '#${uid}' ...`,
    { details: { path: root, uid } },
  );
}

async function check(path: string, forbidden: number, cure: string): Promise<void> {
  const mode = await fileStep("read", path, () => stat(path).then(({ mode }) => mode, nothingIfMissing(0)));
  if ((mode & forbidden) === 0) return;
  const octal = (mode & 0o777).toString(8);
  throw new StoreError(
    "data_folder_permissions",
    `Cannot trust "${path}": its mode is ${octal}; run: chmod ${cure} "${path}"`,
    { details: { path, mode: octal } },
  );
}

function nothingIfMissing<T>(nothing: T): (error: unknown) => T {
  return (error) => {
    if (isErrno(error, "ENOENT")) return nothing;
    throw error;
  };
}
