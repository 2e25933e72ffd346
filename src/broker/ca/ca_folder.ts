import { randomBytes, type X509Certificate } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { removeTemporaryFiles, syncFolder, writeFileAtomically } from "../../platform/atomic_file.ts";
import { reasonOf } from "../../platform/error.ts";
import { makeFolder } from "../../platform/make_folder.ts";
import {
  certificateFingerprint,
  isIssuedBy,
  keyMatches,
  readCertificates,
  readPrivateKey,
  validity,
} from "../../platform/certificate.ts";
import type { Secret } from "../../platform/secret.ts";
import { type Authority, createIssuing, createRoot, readAuthority } from "./authority.ts";
import { CaError } from "./errors.ts";
import { isSealed, openKey, sealKey } from "./sealed_key.ts";

/** Files of the authority. A key stands in the file of its certificate where the two are replaced together. */
export const ROOT_KEY = "root.key.pem";
/** All trusted roots, in the order in which they came. */
export const ROOTS = "root.pem";
/** Key, certificate and former certificates in one file. Whose root signed the certificate is the root in use. */
export const ISSUING = "issuing.pem";
/** During a roll-over: key and certificate that will sign under the next root, and that root's key. */
export const NEXT = "next.pem";
export const NEXT_ROOT_KEY = "next-root.key.pem";
const FILES = [ROOT_KEY, ROOTS, ISSUING, NEXT, NEXT_ROOT_KEY];
const UNFINISHED = /^ca\.[0-9a-f]{12}\.new$/;
/** Stands in the place of a root key that is kept elsewhere. */
const OFFLINE = "The key of this root is kept offline.\n";

/** The authorities of a broker, as they lie in its data folder. */
export interface CaKeys {
  /** The root in use. */
  root: X509Certificate;
  /** Key of `root`, PKCS#8 PEM; null where it is kept offline. */
  rootKey: string | null;
  issuing: Authority;
  /** Issuing certificates replaced earlier and not yet ended: what they signed is still good. */
  former: readonly X509Certificate[];
  /** All trusted roots that have not expired. */
  roots: readonly X509Certificate[];
  /** What takes over when a roll-over is finished. */
  next: { root: X509Certificate; issuing: Authority } | null;
  /** True when a roll-over was cut short after its switch: its files are to be tidied up. */
  isUntidy: boolean;
}

/** The files of an authority in `dataDir`/ca, their keys encrypted with `key` where one is given. */
export class CaFolder {
  readonly path: string;
  readonly #dataDir: string;
  readonly #key: Secret | null;

  constructor(dataDir: string, key: Secret | null) {
    this.#dataDir = dataDir;
    this.path = join(dataDir, "ca");
    this.#key = key;
  }

  /**
   * Makes the authorities where there are none and `mayCreate` says so, and encrypts keys that are not. A folder that
   * exists but cannot be read or does not fit together is an error, never made anew: every connector trusts the root in
   * it. Throws `CaError`: `ca_missing` where there is none and none may be made.
   */
  async prepare(now: number, mayCreate: () => Promise<boolean>): Promise<void> {
    if (!await this.exists()) {
      if (!await mayCreate()) throw missing(this.path);
      await this.#create(now);
    }
    for (const name of await readdir(this.#dataDir)) {
      // Once `ca` is there, folders that a killed process left beside it (with keys inside) are of no use.
      if (!UNFINISHED.test(name)) continue;
      await rm(join(this.#dataDir, name), { recursive: true, force: true }).catch(() => {});
    }
    if (this.#key === null) return;
    for (const name of [ROOT_KEY, ISSUING, NEXT, NEXT_ROOT_KEY]) {
      const text = await this.#readIfThere(name);
      if (text !== null && !isSealed(text) && text.includes("PRIVATE KEY")) await this.write(name, text);
    }
  }

  /** Reads all of it. Throws `CaError`, `CaKeyError`. */
  async read(now: number): Promise<CaKeys> {
    const rootText = await this.#read(ROOTS);
    const keyText = await this.#open(ROOT_KEY);
    const issuingText = await this.#open(ISSUING);
    const roots = part("root", () => readCertificates(rootText));
    for (const root of roots) if (!isIssuedBy(root, root)) throw damaged("root", "it is not a root");
    const certificates = part("issuing certificate", () => readCertificates(issuingText));
    const root = roots.find((one) => isIssuedBy(certificates[0], one));
    if (root === undefined) throw damaged("issuing certificate", "it is not issued by this root");
    const issuing = readAuthority("issuing certificate", issuingText, issuingText, root);
    const isUntidy = await this.#isKeyLeft(root);
    return {
      root,
      rootKey: await this.#rootKey(root, keyText, isUntidy),
      issuing,
      former: certificates.slice(1),
      roots: roots.filter((one) => validity(one).notAfter > now || one === root),
      next: await this.#readNext(roots, issuing),
      isUntidy,
    };
  }

  /** Changes when a file does. */
  async mark(): Promise<string> {
    const marks = FILES.map(async (name) => {
      const { mtimeMs, ino, size } = await stat(join(this.path, name)).catch(() => ({
        mtimeMs: 0,
        ino: 0,
        size: 0,
      }));
      return `${mtimeMs} ${ino} ${size}`;
    });
    return (await Promise.all(marks)).join();
  }

  /** Replaces a file; the private key in `content` is encrypted. Throws `ca_unwritable`. */
  async write(name: string, content: string): Promise<void> {
    const sealed = this.#key === null ? content : sealKey(content, this.#key);
    await this.writing(() => writeFileAtomically(join(this.path, name), sealed, 0o600));
  }

  /** Puts an issuing authority in use. */
  async writeIssuing({ privateKey, pem }: Authority, former: readonly X509Certificate[]): Promise<void> {
    await this.write(ISSUING, [privateKey, pem, ...former.map(pemOf)].join(""));
  }

  /** Removes a file of the folder. */
  async remove(name: string): Promise<void> {
    await this.writing(async () => {
      await rm(join(this.path, name), { force: true });
      await syncFolder(this.path);
    });
  }

  /** Says that the root's key is kept elsewhere. */
  async removeRootKey(): Promise<void> {
    await this.write(ROOT_KEY, OFFLINE);
  }

  /** Runs a change of the folder, its failures as `ca_unwritable`. */
  async writing<T>(write: () => Promise<T>): Promise<T> {
    try {
      return await write();
    } catch (cause) {
      if (cause instanceof CaError) throw cause;
      throw new CaError("ca_unwritable", `Cannot write "${this.path}": ${reasonOf(cause)}`, { cause });
    }
  }

  /** Reads a file with a private key, as it is used. */
  async #open(name: string): Promise<string> {
    return openKey(await this.#read(name), this.#key, join(this.path, name));
  }

  async #rootKey(root: X509Certificate, text: string, isUntidy: boolean): Promise<string | null> {
    if (isUntidy) return pkcs8(readPrivateKey(await this.#open(NEXT_ROOT_KEY)));
    if (text === OFFLINE) return null;
    const key = part("root", () => readPrivateKey(text));
    if (!keyMatches(root, key)) throw damaged("root", "key and certificate differ");
    return pkcs8(key);
  }

  /** True when the key that a roll-over left beside its place is that of this root. */
  async #isKeyLeft(root: X509Certificate): Promise<boolean> {
    const text = await this.#readIfThere(NEXT_ROOT_KEY);
    if (text === null) return false;
    const path = join(this.path, NEXT_ROOT_KEY);
    return keyMatches(root, part("next root", () => readPrivateKey(openKey(text, this.#key, path))));
  }

  async #readNext(roots: readonly X509Certificate[], issuing: Authority): Promise<CaKeys["next"]> {
    const sealed = await this.#readIfThere(NEXT);
    if (sealed === null) return null;
    const text = openKey(sealed, this.#key, join(this.path, NEXT));
    const [certificate] = part("next issuing certificate", () => readCertificates(text));
    const root = roots.find((one) => isIssuedBy(certificate, one));
    // Not announced yet, or in use already: a roll-over that was cut short.
    if (root === undefined || fingerprint(certificate) === fingerprint(issuing.certificate)) return null;
    return { root, issuing: readAuthority("next issuing certificate", text, text, root) };
  }

  /**
   * Makes everything in a folder of another name first: `ca` appears complete or not at all. Where several processes
   * start at once the first rename wins and the others use what it made.
   */
  async #create(now: number): Promise<void> {
    const root = await createRoot(randomName(), now);
    const issuing = await createIssuing(root, randomName(), now);
    const unfinished = join(this.#dataDir, `ca.${randomBytes(6).toString("hex")}.new`);
    const write = (name: string, content: string) =>
      writeFileAtomically(
        join(unfinished, name),
        this.#key === null ? content : sealKey(content, this.#key),
        0o600,
      );
    await this.writing(async () => {
      try {
        await makeFolder(this.#dataDir, 0o700);
        await mkdir(unfinished, { mode: 0o700 });
        await write(ROOT_KEY, root.privateKey);
        await write(ROOTS, root.pem);
        await write(ISSUING, issuing.privateKey + issuing.pem);
        await rename(unfinished, this.path);
        await syncFolder(this.#dataDir);
      } catch (error) {
        await rm(unfinished, { recursive: true, force: true }).catch(() => {});
        if (!await this.exists()) throw error;
      }
    });
  }

  /** Removes what a killed process left of a write. Only for who holds the folder's lock. */
  async removeTemporary(): Promise<void> {
    await this.writing(() => removeTemporaryFiles(this.path));
  }

  async #read(name: string): Promise<string> {
    const path = join(this.path, name);
    try {
      return await readFile(path, "utf8");
    } catch (cause) {
      throw new CaError("ca_unreadable", `Cannot read "${path}": ${reasonOf(cause)}`, { cause });
    }
  }

  async #readIfThere(name: string): Promise<string | null> {
    const isThere = await stat(join(this.path, name)).then(() => true, () => false);
    return isThere ? await this.#read(name) : null;
  }

  /** True when there is an authority, whatever its state. Throws `ca_unreadable`. */
  async exists(): Promise<boolean> {
    try {
      return (await stat(this.path)).isDirectory();
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === "ENOENT") return false;
      throw new CaError("ca_unreadable", `Cannot read "${this.path}": ${reasonOf(cause)}`, { cause });
    }
  }
}

/** A name that tells authorities of several brokers apart. */
export function randomName(): string {
  return randomBytes(4).toString("hex");
}

/** A certificate as PEM that ends with a line break. */
export function pemOf(certificate: X509Certificate): string {
  return `${certificate.toString().trimEnd()}\n`;
}

const fingerprint = certificateFingerprint;

function pkcs8(key: ReturnType<typeof readPrivateKey>): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}

function part<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw damaged(what, reasonOf(cause), cause);
  }
}

function missing(path: string): CaError {
  return new CaError(
    "ca_missing",
    `Cannot start without "${path}": the store knows connectors that trust the authority that was there; restore a ` +
      "backup, or make a new one, with which all of them must register again: ca create",
  );
}

function damaged(what: string, state: string, cause?: unknown): CaError {
  return new CaError("ca_invalid", `Cannot use ${what} of the certificate authority: ${state}`, { cause });
}
