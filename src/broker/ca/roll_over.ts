import type { X509Certificate } from "node:crypto";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { syncFolder } from "../../platform/atomic_file.ts";
import { certificateFingerprint, keyMatches, readPrivateKey, validity } from "../../platform/certificate.ts";
import { lockStore } from "../store/store_lock.ts";
import { type Authority, CLOCK_TOLERANCE_MS, createIssuing, createRoot, isIssuingDue } from "./authority.ts";
import {
  type CaFolder,
  type CaKeys,
  NEXT,
  NEXT_ROOT_KEY,
  pemOf,
  randomName,
  ROOT_KEY,
  ROOTS,
} from "./ca_folder.ts";
import { CaError } from "./errors.ts";

const DAY_MS = 86_400_000;
/** A root that ends within this time is rolled over by itself. */
const ROOT_RENEWAL_MS = 2 * 365 * DAY_MS;
/** Former issuing certificates that are kept even when they have ended. */
const KEPT = 8;
const LOCK_ATTEMPTS = 50;
const LOCK_PAUSE_MS = 100;

/** Runs a change of the folder while no other process makes one. Throws `ca_busy`. */
export async function changing<T>(folder: CaFolder, change: () => Promise<T>): Promise<T> {
  using _lock = await lock(folder);
  await folder.removeTemporary();
  return await change();
}

async function lock(folder: CaFolder): Promise<Disposable> {
  for (let attempt = 1;; attempt++) {
    try {
      return lockStore(join(folder.path, "change"), "exclusive");
    } catch (cause) {
      if (attempt >= LOCK_ATTEMPTS) {
        throw new CaError("ca_busy", `Cannot change "${folder.path}": another process is changing it`, {
          cause,
        });
      }
      await delay(LOCK_PAUSE_MS);
    }
  }
}

/** What is to be done by itself. */
export type Due = "tidy" | "issuing" | "begin" | "finish" | "abandon" | null;

/**
 * What is due: a roll-over is finished when its root has been announced for `overlapMs`. While the clock is not trusted
 * only what does no harm, and is urgent: an issuing certificate in the place of one that is not good now.
 */
export function whatIsDue(keys: CaKeys, now: number, overlapMs: number, isClockTrusted: boolean): Due {
  if (keys.isUntidy) return "tidy";
  const isFuture = (one: X509Certificate) => validity(one).notBefore > now;
  if (isFuture(keys.root)) return null; // Then it is the clock that is wrong.
  const { issuing: { certificate }, root } = keys;
  // Made when the clock was ahead, or ended.
  if (validity(root).notAfter > now && (isFuture(certificate) || validity(certificate).notAfter <= now)) {
    return "issuing";
  }
  if (!isClockTrusted) return null;
  if (keys.next !== null && isFuture(keys.next.root)) return "abandon";
  if (keys.next !== null && now >= announcedAt(keys.next.root) + overlapMs) return "finish";
  if (keys.next === null && validity(keys.root).notAfter - now < ROOT_RENEWAL_MS) return "begin";
  return isIssuingDue(keys.issuing, { certificate: keys.root }, now) ? "issuing" : null;
}

/** When a root was made. */
export function announcedAt(root: X509Certificate): number {
  return validity(root).notBefore + CLOCK_TOLERANCE_MS;
}

/** Replaces the issuing certificate by one of the same root. Throws `ca_root_key_offline`. */
export async function renewIssuing(folder: CaFolder, now: number): Promise<void> {
  const { root, rootKey, issuing, former } = await folder.read(now);
  if (rootKey === null) {
    throw new CaError(
      "ca_root_key_offline",
      "Cannot renew the issuing certificate: the root's key is offline; bring it with: ca import-root-key FILE",
    );
  }
  const authority: Authority = { certificate: root, pem: pemOf(root), privateKey: rootKey };
  const next = await createIssuing(authority, randomName(), now);
  await folder.writeIssuing(next, worthKeeping([issuing.certificate, ...former], now));
}

/** Makes the next root and announces it; the one in use signs until the roll-over is finished. */
export async function beginRollOver(folder: CaFolder, now: number): Promise<void> {
  await tidyRollOver(folder, now); // The key of the root in use may be where the next one's goes.
  const { roots, next } = await folder.read(now);
  if (next !== null) {
    throw new CaError("ca_roll_over_refused", "Cannot begin a roll-over: one is under way");
  }
  const root = await createRoot(randomName(), now);
  const issuing = await createIssuing(root, randomName(), now);
  // Announced last: what a cut leaves behind before that is replaced by the next beginning.
  await folder.write(NEXT_ROOT_KEY, root.privateKey);
  await folder.write(NEXT, issuing.privateKey + issuing.pem);
  await folder.write(ROOTS, [...roots, root.certificate].map(pemOf).join(""));
}

/** Lets the next root take over. The one before stays trusted until it ends or is dropped. */
export async function finishRollOver(folder: CaFolder, now: number): Promise<void> {
  const { next, issuing, former } = await folder.read(now);
  if (next === null) {
    throw new CaError("ca_roll_over_refused", "Cannot finish a roll-over: none is under way");
  }
  // This one write is the switch; a cut after it leaves only what `tidyRollOver` clears away.
  await folder.writeIssuing(next.issuing, worthKeeping([issuing.certificate, ...former], now));
  await tidyRollOver(folder, now);
}

/** Drops a next root of the future: it was made when the clock was ahead. */
export async function abandonRollOver(folder: CaFolder, now: number): Promise<void> {
  const { next } = await folder.read(now);
  if (next !== null) await dropRoot(folder, certificateFingerprint(next.root), now);
}

/** Puts the root's key in its place after the switch. */
export async function tidyRollOver(folder: CaFolder, now: number): Promise<void> {
  if (!(await folder.read(now)).isUntidy) return;
  await folder.remove(NEXT);
  await folder.writing(async () => {
    await rename(join(folder.path, NEXT_ROOT_KEY), join(folder.path, ROOT_KEY));
    await syncFolder(folder.path);
  });
}

/** Trusts a root no longer: neither what it signed, nor in what is announced to connectors. */
export async function dropRoot(folder: CaFolder, fingerprint: string, now: number): Promise<void> {
  const { root, roots, next } = await folder.read(now);
  const dropped = roots.find((one) => certificateFingerprint(one) === fingerprint);
  const refuse = (state: string) =>
    new CaError("ca_roll_over_refused", `Cannot drop root "${fingerprint}": ${state}`);
  if (dropped === undefined) throw refuse("there is no such root");
  if (dropped === root) throw refuse("it is in use");
  if (dropped === next?.root) {
    await folder.remove(NEXT);
    await folder.remove(NEXT_ROOT_KEY);
  }
  await folder.write(ROOTS, roots.filter((one) => one !== dropped).map(pemOf).join(""));
}

/** Takes a root's key back from where it was kept. Throws `ca_invalid` when it is not that of the root in use. */
export async function importRootKey(folder: CaFolder, text: string, now: number): Promise<void> {
  const { root } = await folder.read(now);
  const key = readPrivateKey(text);
  if (!keyMatches(root, key)) {
    throw new CaError("ca_invalid", "Cannot take the root's key: it is not that of the root in use");
  }
  await folder.write(ROOT_KEY, key.export({ type: "pkcs8", format: "pem" }).toString());
}

/** The newest ones in any case: a clock that was ahead once must not part us from what they signed. */
function worthKeeping(certificates: readonly X509Certificate[], now: number): X509Certificate[] {
  return certificates.filter((one, index) => index < KEPT || validity(one).notAfter > now);
}
