import { open, readFile, stat } from "node:fs/promises";
import { userInfo } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { X509Certificate } from "node:crypto";
import { syncFolder } from "../../platform/atomic_file.ts";
import { certificateFingerprint, validity } from "../../platform/certificate.ts";
import type { Environment } from "../../platform/configuration.ts";
import type { Secret } from "../../platform/secret.ts";
import { readCaKey } from "../ca/ca_key.ts";
import { CaFolder, ISSUING, NEXT, NEXT_ROOT_KEY, ROOT_KEY } from "../ca/ca_folder.ts";
import { parseCertificatesFile, readCertificatesFile } from "../ca/certificates_file.ts";
import { CaError } from "../ca/errors.ts";
import {
  beginRollOver,
  changing,
  dropRoot,
  finishRollOver,
  importRootKey,
  renewIssuing,
  tidyRollOver,
} from "../ca/roll_over.ts";
import { isSealed, openKey } from "../ca/sealed_key.ts";
import { dataFolder } from "../data_folder.ts";
import { lockDataFolder } from "../data_folder_lock.ts";
import { checkDataFolderOwner } from "../data_folder_modes.ts";
import { audited } from "../store/audited.ts";
import { connectorsWithoutRoot, type UnawareConnector } from "../store/roots_not_learned.ts";
import { CommandError } from "./errors.ts";

/** Connectors that a message names. */
const MOST_NAMED = 10;

/** An authority's files, and what opens them. */
export interface CaFiles {
  folder: CaFolder;
  dataDir: string;
  key: Secret | null;
  env: Environment;
}

/** What `ca show` prints. */
export interface ShownCa {
  /** Of an authority elsewhere `next` is what began later than the one in use, `former` what began before it. */
  roots: (ShownCertificate & { state: "in use" | "next" | "former" })[];
  issuing: ShownCertificate;
  rootKey: "in the data folder" | "offline" | "elsewhere";
  /** Null where there are no keys in the data folder. */
  encrypted: boolean | null;
}

interface ShownCertificate {
  fingerprint: string;
  notAfter: string;
  /** It has ended. */
  expired: boolean;
}

/** The files of an authority that is there already. Throws `ca_unreadable` where there is none. */
export async function openCaFiles(dataDir: string, keyFile: string, env: Environment): Promise<CaFiles> {
  const folder = new CaFolder(dataDir, await readCaKey(keyFile, env));
  if (!await stat(folder.path).then(() => true, () => false)) {
    throw new CaError("ca_unreadable", `Cannot read "${folder.path}": there is no certificate authority yet`);
  }
  return { folder, dataDir, key: await readCaKey(keyFile, env), env };
}

/** Makes an authority where there is none, while no broker runs. Throws `ca_exists`, `store_in_use`. */
export async function createCa(dataDir: string, keyFile: string, env: Environment): Promise<ShownCa> {
  const key = await readCaKey(keyFile, env);
  const folder = new CaFolder(dataDir, key);
  await checkDataFolderOwner(dataDir);
  using _lock = await lockDataFolder(dataDir, false);
  if (await folder.exists()) {
    throw new CaError("ca_exists", `Cannot make a certificate authority: "${folder.path}" is there`);
  }
  const files = { folder, dataDir, key, env };
  const create = () => folder.prepare(Date.now(), () => Promise.resolve(true));
  await withEntry(files, "ca.create", {}, create);
  return await showCa(files);
}

/** Looks at an authority. */
export async function showCa({ folder }: CaFiles): Promise<ShownCa> {
  const { root, roots, issuing, next, rootKey } = await folder.read(Date.now());
  return {
    roots: roots.map((one) => ({
      ...shown(one),
      state: one === root ? "in use" : one === next?.root ? "next" : "former",
    })),
    issuing: shown(issuing.certificate),
    rootKey: rootKey === null ? "offline" : "in the data folder",
    encrypted: isSealed(await readFile(join(folder.path, ISSUING), "utf8")),
  };
}

/** Looks at an authority elsewhere, of which there are certificates in a file and no keys. Throws `CaError`. */
export async function showCaElsewhere(path: string): Promise<ShownCa> {
  const { root, roots, issuing } = parseCertificatesFile(await readCertificatesFile(path), path);
  const others = roots.filter((one) => one !== root);
  const began = (one: X509Certificate) => validity(one).notBefore;
  return {
    roots: [
      { ...shown(root), state: "in use" },
      ...others.map((one) => ({
        ...shown(one),
        state: began(one) > began(root) ? "next" as const : "former" as const,
      })),
    ],
    issuing: shown(issuing),
    rootKey: "elsewhere",
    encrypted: null,
  };
}

function shown(certificate: X509Certificate): ShownCertificate {
  const { notAfter } = validity(certificate);
  return {
    fingerprint: certificateFingerprint(certificate),
    notAfter: new Date(notAfter).toISOString(),
    expired: notAfter <= Date.now(),
  };
}

/** Replaces the issuing certificate. */
export async function renewIssuingNow(files: CaFiles): Promise<ShownCa> {
  return await change(files, "ca.renew_issuing", {}, (now) => renewIssuing(files.folder, now));
}

/** Makes and announces the next root. */
export async function beginRollOverNow(files: CaFiles): Promise<ShownCa> {
  return await change(files, "ca.roll_over", {}, (now) => beginRollOver(files.folder, now));
}

/**
 * Lets the next root take over. Throws `ca_root_not_learned` while enabled connectors have not said that they keep it, unless
 * `force` is given.
 */
export async function finishRollOverNow(files: CaFiles, force: boolean): Promise<ShownCa> {
  const { folder, dataDir } = files;
  await checkDataFolderOwner(dataDir);
  await changing(folder, async () => {
    const { next } = await folder.read(Date.now());
    const root = next === null ? null : certificateFingerprint(next.root);
    const unaware = root === null ? [] : await connectorsWithoutRoot(dataFolder(dataDir).store, root);
    if (unaware.length > 0 && !force) throw rootNotLearned(unaware);
    const details = { root, forced: force, connectorsLeftOut: unaware.length };
    await withEntry(files, "ca.finish_roll_over", details, () => finishRollOver(folder, Date.now()));
  });
  return await showCa(files);
}

function rootNotLearned(unaware: readonly UnawareConnector[]): CaError {
  const named = unaware.slice(0, MOST_NAMED).map(({ id, machineName, lastSeenAt }) =>
    `"${machineName}" (${id}, last seen ${lastSeenAt ?? "never"})`
  );
  if (unaware.length > MOST_NAMED) named.push(`${unaware.length - MOST_NAMED} more`);
  const names = named.join(", ");
  const who = unaware.length === 1 ? "1 enabled connector has" : `${unaware.length} enabled connectors have`;
  return new CaError(
    "ca_root_not_learned",
    `Cannot finish the roll-over: ${who} not learned the next root and would have to register again: ` +
      `${names}; wait until they have connected, disable or delete those that are gone, or give --force`,
    { details: { count: unaware.length, connectors: unaware } },
  );
}

/** Drops a root that is not in use. */
export async function dropRootNow(files: CaFiles, fingerprint: string): Promise<ShownCa> {
  return await change(
    files,
    "ca.drop_root",
    { fingerprint },
    (now) => dropRoot(files.folder, fingerprint, now),
  );
}

/** Copies the root's key, as it lies there, to a new file (0600); on request removes it. Throws `backup_failed`. */
export async function exportRootKey(files: CaFiles, to: string, remove: boolean): Promise<void> {
  const { folder } = files;
  if (remove) await checkDataFolderOwner(files.dataDir);
  const details = { to: resolve(to), removed: remove };
  await changing(folder, () => withEntry(files, "ca.export_root_key", details, copy));
  async function copy(): Promise<void> {
    await tidyRollOver(folder, Date.now()); // Else the file would hold the key of the root before.
    const { rootKey } = await folder.read(Date.now());
    if (rootKey === null) {
      throw new CaError("ca_root_key_offline", "Cannot export the root's key: it is not in the data folder");
    }
    const text = await readFile(join(folder.path, ROOT_KEY), "utf8");
    try {
      await using file = await open(to, "wx", 0o600);
      await file.writeFile(text);
      await file.sync();
      await syncFolder(dirname(resolve(to)));
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new CommandError("backup_failed", `Cannot write "${to}": ${why}`, { cause });
    }
    if (remove) await folder.removeRootKey();
  }
}

/** Takes an exported root key back. */
export async function importRootKeyFrom(files: CaFiles, from: string): Promise<ShownCa> {
  const text = await readFile(from, "utf8").catch((cause: Error) => {
    throw new CaError("ca_unreadable", `Cannot read "${from}": ${cause.message}`, { cause });
  });
  return await change(
    files,
    "ca.import_root_key",
    { from: resolve(from) },
    (now) => importRootKey(files.folder, openKey(text, files.key, from), now),
  );
}

/** Encrypts all keys with another key; a run that was cut short is finished by the next one. */
export async function rekey(files: CaFiles, keyFile: string): Promise<ShownCa> {
  const { folder, dataDir, key, env } = files;
  const nextKey = await readCaKey(keyFile, env);
  const next = new CaFolder(dataDir, nextKey);
  await checkDataFolderOwner(dataDir);
  await changing(folder, async () => {
    const opened: [name: string, content: string][] = [];
    for (const name of [ROOT_KEY, NEXT_ROOT_KEY, NEXT, ISSUING]) {
      const path = join(folder.path, name);
      if (!await stat(path).then(() => true, () => false)) continue;
      opened.push([name, openWithEither(await readFile(path, "utf8"), [key, nextKey], path)]);
    }
    await withEntry(files, "ca.rekey", { keyFile: resolve(keyFile) }, async () => {
      for (const [name, content] of opened) await next.write(name, content);
    });
  });
  return await showCa({ ...files, folder: next });
}

function openWithEither(text: string, [first, second]: (Secret | null)[], path: string): string {
  try {
    return openKey(text, first ?? null, path);
  } catch (error) {
    try {
      return openKey(text, second ?? null, path);
    } catch {
      throw error;
    }
  }
}

async function change(
  files: CaFiles,
  action: string,
  details: Readonly<Record<string, unknown>>,
  work: (now: number) => Promise<void>,
): Promise<ShownCa> {
  await checkDataFolderOwner(files.dataDir);
  await changing(files.folder, () => withEntry(files, action, details, () => work(Date.now())));
  return await showCa(files);
}

/** Makes a change with its entry in the audit log of the store beside the authority. */
async function withEntry(
  { dataDir }: CaFiles,
  action: string,
  details: Readonly<Record<string, unknown>>,
  work: () => Promise<void>,
): Promise<void> {
  const actor = { kind: "system", id: "ca-command" } as const;
  const entry = { actor, action, target: "ca", details: { ...details, user: userName() } };
  await audited(dataFolder(dataDir).store, entry, work);
}

/** Who runs this program, as the system knows them: a number where they have no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? "unknown");
  }
}
