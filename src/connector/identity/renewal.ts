import { removeTemporaryFiles } from "../../platform/atomic_file.ts";
import { createCertificateRequest } from "../../platform/x509.ts";
import { DialError } from "../errors.ts";
import type { Identity } from "./identity.ts";
import {
  copyCertificate,
  readRenewal,
  removeRenewal,
  renewalKey,
  renewedIdentity,
  switchToRenewal,
  writeRenewal,
} from "./renewal_files.ts";
import { writing } from "./state_folder.ts";

/**
 * The steps of a renewal, each reached when what it says is so. Up to `proven` the old identity is the connector's,
 * from `switched` on the new one; a process that ends anywhere goes on from there when it is started again.
 */
export const RENEWAL_STEPS = [
  "begun",
  "key_written",
  "answered",
  "pair_written",
  "proven",
  "switched",
  "copied",
  "tidied",
] as const;

/** One of `RENEWAL_STEPS`. */
export type RenewalStep = (typeof RENEWAL_STEPS)[number];

/** One renewal. */
export interface RenewalOptions {
  stateDir: string;
  identity: Identity;
  /** Asks the broker for a certificate; gives leaf and issuing certificates, PEM. */
  ask: (csr: string) => Promise<string>;
  /** Resolves when a connection with this identity was accepted. */
  prove: (identity: Identity) => Promise<void>;
  /** Told that the new identity could not be tidied up after; it is in use all the same. */
  untidy: (error: Error) => void;
  now?: () => number;
  /** Told of each step, before the next one begins. */
  onStep?: (step: RenewalStep) => void | Promise<void>;
}

/**
 * Gets a certificate for a new key and puts both in the place of the old ones: written beside them, proven by a
 * connection, switched by one rename. Throws `StateError`, `RenewalError`, what `ask` and `prove` throw; the old
 * identity is untouched then.
 */
export async function renewIdentity(options: RenewalOptions): Promise<Identity> {
  const { stateDir, identity, prove, untidy, now = Date.now, onStep = () => {} } = options;
  await writing(stateDir, () => removeTemporaryFiles(stateDir));
  await onStep("begun");
  const next = await readRenewal(stateDir, identity, now()) ?? await askFor(options, onStep, now);
  try {
    await prove(next);
  } catch (error) {
    // A broker that does not know it will not know it later, either: the next attempt asks for another.
    if (isRefusal(error)) await removeRenewal(stateDir).catch(() => {});
    throw error;
  }
  await onStep("proven");
  await switchToRenewal(stateDir);
  await onStep("switched");
  try {
    await copyCertificate(stateDir, next);
    await onStep("copied");
    await removeRenewal(stateDir);
    await onStep("tidied");
  } catch (error) {
    untidy(error as Error);
  }
  return next;
}

async function askFor(
  { stateDir, identity, ask }: RenewalOptions,
  onStep: NonNullable<RenewalOptions["onStep"]>,
  now: () => number,
): Promise<Identity> {
  const key = await renewalKey(stateDir, identity);
  await onStep("key_written");
  const certificate = await ask(await createCertificateRequest(key, identity.connectorId));
  await onStep("answered");
  const next = renewedIdentity(identity, key, certificate, now());
  await writeRenewal(stateDir, next);
  await onStep("pair_written");
  return next;
}

function isRefusal(error: unknown): boolean {
  if (!(error instanceof DialError)) return false;
  return error.code === "certificate_rejected" || (error.code === "tunnel_refused" && !error.retryable);
}
