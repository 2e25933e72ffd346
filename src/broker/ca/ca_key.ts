import { readFile } from "node:fs/promises";
import type { Environment } from "../../platform/configuration.ts";
import { Secret } from "../../platform/secret.ts";
import { CaKeyError } from "./errors.ts";

const LEAST_CHARACTERS = 16;
const MOST_CHARACTERS = 4_096;

/**
 * The key that encrypts the authority's private keys at rest: content of a file, else SALLYPORT_CA_KEY; null when
 * neither is given. Throws `ca_key_unreadable`, `ca_key_weak`.
 */
export async function readCaKey(file: string, env: Environment): Promise<Secret | null> {
  const given = file === "" ? env.SALLYPORT_CA_KEY : await read(file);
  if (given === undefined) return null;
  const text = given.trim();
  if (text.length < LEAST_CHARACTERS || text.length > MOST_CHARACTERS) {
    const where = file === "" ? "SALLYPORT_CA_KEY" : `"${file}"`;
    throw new CaKeyError(
      "ca_key_weak",
      `Cannot use the key in ${where}: it has ${text.length} characters, not ${LEAST_CHARACTERS} to ${MOST_CHARACTERS}`,
    );
  }
  return new Secret(text);
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CaKeyError("ca_key_unreadable", `Cannot read the authority's key "${path}": ${why}`, { cause });
  }
}
