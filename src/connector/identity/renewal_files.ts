import { createPublicKey } from "node:crypto";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { syncFolder, writeFileAtomically } from "../../platform/atomic_file.ts";
import { certificateBlocks, keyMatches, privateKeyBlock } from "../../platform/certificate.ts";
import { isIssuedBy, readCertificates, readPrivateKey, validity } from "../../platform/certificate.ts";
import { Secret } from "../../platform/secret.ts";
import { generatePrivateKey, type KeyType } from "../../platform/x509.ts";
import { RenewalError } from "./errors.ts";
import type { Identity } from "./identity.ts";
import { CERTIFICATE_FILE, KEY_FILE, readState, removeState, writing } from "./state_folder.ts";

/** The key that a renewal asks with, kept until it is over: a lost answer is asked for again with the same key. */
export const RENEWAL_KEY_FILE = "renewal-key.pem";
/** The new key with its certificate, until it takes the place of the old ones. */
export const RENEWAL_FILE = "renewal.pem";

/** The key of a renewal that was cut short, else a new one of the same kind as the one in use; on disk when it resolves. */
export async function renewalKey(stateDir: string, identity: Identity): Promise<string> {
  const kept = await readState(stateDir, RENEWAL_KEY_FILE);
  if (kept !== null && isOtherKey(kept, identity)) return kept;
  const key = await generatePrivateKey(keyTypeOf(identity.key.reveal()));
  await write(stateDir, RENEWAL_KEY_FILE, key);
  return key;
}

/** Writes key and certificate beside the ones in use. Throws `state_unwritable`. */
export async function writeRenewal(stateDir: string, { key, certificate }: Identity): Promise<void> {
  await write(stateDir, RENEWAL_FILE, key.reveal() + certificate);
}

/** What a renewal that was cut short has written; null when there is nothing of use. */
export async function readRenewal(
  stateDir: string,
  identity: Identity,
  now: number,
): Promise<Identity | null> {
  const text = await readState(stateDir, RENEWAL_FILE);
  if (text === null) return null;
  try {
    return renewedIdentity(identity, privateKeyBlock(text), certificateBlocks(text), now);
  } catch {
    return null;
  }
}

/** Tidies up after a renewal that was cut short behind its switch; true when one was cut short before it. */
export async function resumeRenewal(stateDir: string, identity: Identity): Promise<boolean> {
  if (await readState(stateDir, RENEWAL_FILE) !== null) return true;
  const kept = await readState(stateDir, RENEWAL_KEY_FILE);
  if (kept === null) return false;
  if (isOtherKey(kept, identity)) return true;
  await copyCertificate(stateDir, identity);
  await removeRenewal(stateDir);
  return false;
}

/**
 * Replaces key and certificate by those of the renewal, both by one rename: `key.pem` holds the two from then on.
 * Throws `state_unwritable`; then the old ones are still there.
 */
export async function switchToRenewal(stateDir: string): Promise<void> {
  const path = join(stateDir, KEY_FILE);
  await writing(path, async () => {
    await rename(join(stateDir, RENEWAL_FILE), path);
    await syncFolder(stateDir);
  });
}

/** Keeps the public copy of the certificate up to date: for people, and for older versions of this program. */
export async function copyCertificate(stateDir: string, { certificate }: Identity): Promise<void> {
  const path = join(stateDir, CERTIFICATE_FILE);
  await writing(path, () => writeFileAtomically(path, certificate, 0o644));
}

/** Forgets a renewal that is over or cannot be used. */
export async function removeRenewal(stateDir: string): Promise<void> {
  await removeState(stateDir, RENEWAL_FILE);
  await removeState(stateDir, RENEWAL_KEY_FILE);
}

/** The identity with another key and certificate, checked as far as this host can. Throws `renewal_answer_invalid`. */
export function renewedIdentity(identity: Identity, key: string, certificate: string, now: number): Identity {
  const refuse = (state: string) =>
    new RenewalError("renewal_answer_invalid", `Cannot use the renewed certificate: ${state}`);
  let chain;
  try {
    chain = readCertificates(certificate);
  } catch (cause) {
    throw new RenewalError("renewal_answer_invalid", "Cannot use the renewed certificate: it is damaged", {
      cause,
    });
  }
  const [leaf] = chain;
  if (!keyMatches(leaf, readPrivateKey(key))) throw refuse("it is not for the key that was asked for");
  if (leaf.subjectAltName !== `URI:sallyport:connector:${identity.connectorId}`) {
    throw refuse("it names another connector");
  }
  const roots = readCertificates(identity.ca);
  const last = chain.at(-1)!;
  const linked = chain.every((one, at) => at === chain.length - 1 || isIssuedBy(one, chain[at + 1]!)) &&
    roots.some((root) => isIssuedBy(last, root));
  if (!linked) throw refuse("it is not from a CA that this connector trusts");
  const { notBefore, notAfter } = validity(leaf);
  if (!(notBefore <= now && now < notAfter)) throw refuse("it is not valid at this time");
  return { ...identity, key: new Secret(key), certificate, notAfter };
}

async function write(stateDir: string, name: string, content: string): Promise<void> {
  const path = join(stateDir, name);
  await writing(path, () => writeFileAtomically(path, content, 0o600));
}

/** False also for a file that is damaged, and for the key in use: that renewal is over. */
function isOtherKey(pem: string, { certificate }: Identity): boolean {
  try {
    return !keyMatches(readCertificates(certificate)[0], readPrivateKey(pem));
  } catch {
    return false;
  }
}

/** Node names curves as OpenSSL does, Deno partly as the Web Cryptography API does. */
function keyTypeOf(pem: string): KeyType {
  const { asymmetricKeyType, asymmetricKeyDetails } = createPublicKey(readPrivateKey(pem));
  if (asymmetricKeyType === "rsa") return "rsa3072";
  return /384/.test(asymmetricKeyDetails?.namedCurve ?? "") ? "p384" : "p256";
}
