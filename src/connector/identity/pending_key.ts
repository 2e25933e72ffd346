import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomically } from "../../platform/atomic_file.ts";
import { generatePrivateKey, type KeyType } from "../../platform/x509.ts";
import { readPrivateKey } from "../../platform/certificate.ts";
import { readState, removeState, writing } from "./state_folder.ts";

const NAME = /^pending-[0-9a-f]{16}\.pem$/;

/**
 * The key that a registration asks with, on disk (0600) before the question is sent: where the answer is lost, the
 * same token asked with the same key gets the same certificate. Bound to the token; keys of other tokens are removed.
 */
export async function pendingKey(stateDir: string, secret: string, type: KeyType): Promise<string> {
  const name = `pending-${createHash("sha256").update(secret).digest("hex").slice(0, 16)}.pem`;
  await removePendingKeys(stateDir, name);
  const kept = await readState(stateDir, name);
  if (kept !== null && isReadable(kept)) return kept;
  const key = await generatePrivateKey(type);
  const path = join(stateDir, name);
  await writing(path, () => writeFileAtomically(path, key, 0o600));
  return key;
}

/** Removes the keys of registrations that are over, but for the one named. */
export async function removePendingKeys(stateDir: string, except?: string): Promise<void> {
  const names = await writing(stateDir, () => readdir(stateDir));
  for (const name of names) {
    if (NAME.test(name) && name !== except) await removeState(stateDir, name);
  }
}

function isReadable(pem: string): boolean {
  try {
    readPrivateKey(pem);
    return true;
  } catch {
    return false;
  }
}
