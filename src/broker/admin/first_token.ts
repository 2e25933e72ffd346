import { constants } from "node:fs";
import { link, open, readFile, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { randomBytes } from "node:crypto";
import { syncFolder, writeFileAtomically } from "../../platform/atomic_file.ts";
import type { Log } from "../../platform/log.ts";
import type { Store } from "../store/port.ts";
import { adminTokenSha256, createAdminToken, isAdminToken } from "./admin_token.ts";
import { AdminTokenFileError } from "./errors.ts";

const ACTOR = { kind: "system", id: "first-start" } as const;

/**
 * On first start, when the store has never had an admin token: writes one to `path` (mode 0600, never over an
 * existing file), then records its hash. The file comes first, so that a crash in between is made good at the next
 * start. True when a token was made. Throws `admin_token_file_invalid` when `path` holds something else.
 */
export async function ensureFirstAdminToken(store: Store, path: string, log: Log): Promise<boolean> {
  if ((await store.listAdminTokens({ limit: 1 })).items.length > 0) return false;
  const { token } = createAdminToken();
  const kept = await writeOnce(path, token) ? token : await readToken(path);
  await store.createAdminToken(ACTOR, "first token", adminTokenSha256(kept));
  log.info("Admin token written: keep it, or replace it by one of your own and revoke it", { path });
  return true;
}

/**
 * For who has no good admin token left, or one too many: writes a new one to `path` (mode 0600) in the place of what is
 * there, and revokes all others. The file comes first: what is cut short is made good by doing it again. Throws
 * `admin_token_file_invalid`, `StoreError`.
 */
export async function resetAdminTokens(store: Store, path: string): Promise<void> {
  const { token, sha256 } = createAdminToken();
  try {
    await writeFileAtomically(path, `${token}\n`, 0o600);
  } catch (cause) {
    throw new AdminTokenFileError(path, "it cannot be written", cause);
  }
  await store.replaceAdminTokens({ kind: "system", id: "admin-token-reset" }, "reset", sha256);
}

/** A whole file or none: written beside, synced, then linked to its name, which fails when the name is taken. */
async function writeOnce(path: string, token: string): Promise<boolean> {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.new`;
  try {
    const file = await open(temporary, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600);
    try {
      await file.writeFile(`${token}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await link(temporary, path);
    await syncFolder(dirname(path));
    return true;
  } catch (cause) {
    if (isCode(cause, "EEXIST")) return false;
    throw new AdminTokenFileError(path, "it cannot be written", cause);
  } finally {
    await rm(temporary, { force: true });
  }
}

async function readToken(path: string): Promise<string> {
  let text: string;
  try {
    text = (await readFile(path, "utf8")).trim();
  } catch (cause) {
    throw new AdminTokenFileError(path, "it cannot be read", cause);
  }
  if (!isAdminToken(text)) throw new AdminTokenFileError(path, "it exists and holds no admin token");
  return text;
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
