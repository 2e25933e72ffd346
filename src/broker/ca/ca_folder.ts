import { randomBytes, type X509Certificate } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { removeTemporaryFiles, syncFolder, writeFileAtomically } from "../../platform/atomic_file.ts";
import { readCertificates, validity } from "../../platform/certificate.ts";
import { type Authority, createIssuing, createRoot, isIssuingDue, readAuthority } from "./authority.ts";
import { CaError } from "./errors.ts";

/** The authorities of a broker, as they lie in its data folder. */
export interface CaKeys {
  root: Authority;
  issuing: Authority;
  /** Issuing certificates replaced earlier and not yet ended: what they signed is still good. */
  former: readonly X509Certificate[];
}

const FOLDER = "ca";
const ROOT_KEY = "root.key.pem";
const ROOT_CERTIFICATE = "root.pem";
/** Key, certificate and former certificates in one file, so that they are replaced together. */
const ISSUING = "issuing.pem";
const UNFINISHED = /^ca\.[0-9a-f]{12}\.new$/;

/**
 * Reads the authorities in `dataDir`/ca, making them at the first start; replaces an issuing certificate that is
 * about to end. A folder that exists but cannot be read or does not fit together is an error, never made anew:
 * every connector trusts the root in it. Throws `CaError`.
 */
export async function openCaFolder(dataDir: string, now: number): Promise<CaKeys> {
  const folder = join(dataDir, FOLDER);
  if (!await exists(folder)) await createFolder(dataDir, folder, now);
  await removeUnfinished(dataDir);
  const root = readAuthority(
    "root",
    await read(join(folder, ROOT_CERTIFICATE)),
    await read(join(folder, ROOT_KEY)),
  );
  const issuingPem = await read(join(folder, ISSUING));
  const issuing = readAuthority("issuing certificate", issuingPem, issuingPem, root);
  const former = readCertificates(issuingPem).slice(1);
  if (!isIssuingDue(issuing, root, now)) return { root, issuing, former };
  const next = await createIssuing(root, randomName(), now);
  const replaced = [issuing.certificate, ...former].filter((certificate) =>
    validity(certificate).notAfter > now
  );
  await writing(folder, async () => {
    await removeTemporaryFiles(folder);
    await writeIssuing(folder, next, replaced);
  });
  return { root, issuing: next, former: replaced };
}

/**
 * Makes everything in a folder of another name first: `ca` appears complete or not at all. Where several processes
 * start at once the first rename wins and the others use what it made.
 */
async function createFolder(dataDir: string, folder: string, now: number): Promise<void> {
  const root = await createRoot(randomName(), now);
  const issuing = await createIssuing(root, randomName(), now);
  const unfinished = join(dataDir, `ca.${randomBytes(6).toString("hex")}.new`);
  await writing(folder, async () => {
    try {
      await mkdir(dataDir, { recursive: true, mode: 0o700 });
      await mkdir(unfinished, { mode: 0o700 });
      await writeFileAtomically(join(unfinished, ROOT_KEY), root.privateKey, 0o600);
      await writeFileAtomically(join(unfinished, ROOT_CERTIFICATE), root.pem, 0o600);
      await writeIssuing(unfinished, issuing, []);
      await rename(unfinished, folder);
      await syncFolder(dataDir);
    } catch (error) {
      await rm(unfinished, { recursive: true, force: true }).catch(() => {});
      if (!await exists(folder)) throw error;
    }
  });
}

/** Once `ca` is there, folders that a killed process left beside it (with keys inside) are of no use. */
async function removeUnfinished(dataDir: string): Promise<void> {
  for (const name of await readdir(dataDir)) {
    if (UNFINISHED.test(name)) {
      await rm(join(dataDir, name), { recursive: true, force: true }).catch(() => {});
    }
  }
}

async function writeIssuing(
  folder: string,
  { privateKey, pem }: Authority,
  former: readonly X509Certificate[],
): Promise<void> {
  const content = [privateKey, pem, ...former.map((certificate) => certificate.toString())].join("");
  await writeFileAtomically(join(folder, ISSUING), content, 0o600);
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new CaError("ca_unreadable", `Cannot read "${path}": ${reasonOf(cause)}`, { cause });
  }
}

async function exists(folder: string): Promise<boolean> {
  try {
    return (await stat(folder)).isDirectory();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw new CaError("ca_unreadable", `Cannot read "${folder}": ${reasonOf(cause)}`, { cause });
  }
}

async function writing(folder: string, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (cause) {
    throw new CaError("ca_unwritable", `Cannot write "${folder}": ${reasonOf(cause)}`, { cause });
  }
}

function randomName(): string {
  return randomBytes(4).toString("hex");
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
