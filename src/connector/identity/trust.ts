import { join } from "node:path";
import { writeFileAtomically } from "../../platform/atomic_file.ts";
import {
  certificateFingerprint,
  isIssuedBy,
  readCertificates,
  validity,
} from "../../platform/certificate.ts";
import { MAX_TRUST_ANCHORS } from "../../protocol/certificates.ts";
import { RenewalError } from "./errors.ts";
import { CA_FILE, writing } from "./state_folder.ts";

/**
 * The trust anchors that a broker announces, as PEM to keep; null when they are those in use. Throws `trust_refused`
 * unless all are roots, valid now, and one of them is trusted already: so that no announcement can cut this connector
 * off from the broker that made it.
 */
export function checkTrust(announced: string, inUse: string, now: number): string | null {
  const refuse = (state: string, cause?: unknown) =>
    new RenewalError("trust_refused", `Cannot take over the broker's trust anchors: ${state}`, { cause });
  let roots;
  try {
    roots = readCertificates(announced);
  } catch (cause) {
    throw refuse("they are damaged", cause);
  }
  if (roots.length > MAX_TRUST_ANCHORS) throw refuse(`they are more than ${MAX_TRUST_ANCHORS}`);
  for (const root of roots) {
    if (!isIssuedBy(root, root)) throw refuse("one of them is not a root");
    const { notBefore, notAfter } = validity(root);
    if (!(notBefore <= now && now < notAfter)) throw refuse("one of them is not valid now");
  }
  const trusted = readCertificates(inUse).map(certificateFingerprint);
  const named = roots.map(certificateFingerprint);
  if (!named.some((one) => trusted.includes(one))) throw refuse("none of them is trusted already");
  // In order: the first one is that which the broker issues under.
  if (named.join() === trusted.join()) return null;
  return roots.map((root) => `${root.toString().trimEnd()}\n`).join("");
}

/** Puts trust anchors in the place of the ones on disk. Throws `state_unwritable`. */
export async function saveTrust(stateDir: string, ca: string): Promise<void> {
  const path = join(stateDir, CA_FILE);
  await writing(path, () => writeFileAtomically(path, ca, 0o644));
}
