import { join } from "node:path";
import { syncFolder, writeFileAtomically } from "../../platform/atomic_file.ts";
import {
  certificateBlocks,
  keyMatches,
  privateKeyBlock,
  readCertificates,
  readPrivateKey,
  validity,
} from "../../platform/certificate.ts";
import { Secret } from "../../platform/secret.ts";
import { formatHostPort, type HostPort, isDnsName, parseHostPort } from "../../protocol/address.ts";
import { StateError } from "./errors.ts";
import { readRenewal, removeRenewal } from "./renewal_files.ts";
import {
  BROKER_FILE,
  CA_FILE,
  CERTIFICATE_FILE,
  checkPermissions,
  KEY_FILE,
  readState,
  removeState,
  writing,
} from "./state_folder.ts";

/** All that a connector keeps: where its broker is, whom it trusts, who it is. */
export interface Identity {
  connectorId: string;
  address: HostPort;
  /** Name in the broker's certificate for tunnels. */
  tunnelName: string;
  /** Name in the broker's certificate for enrolment. */
  enrolName: string;
  /** Trust anchors, PEM. */
  ca: string;
  /** Leaf and issuing certificates, PEM. */
  certificate: string;
  /** PKCS#8, PEM. */
  key: Secret;
  /** When the certificate ends, milliseconds since the epoch. */
  notAfter: number;
}

/** How to look at a certificate's dates. */
export interface LoadOptions {
  now?: number;
  /** True gives an identity whose certificate has expired: for asking for a new one. */
  allowExpired?: boolean;
}

interface Broker extends Pick<Identity, "connectorId" | "address" | "tunnelName" | "enrolName"> {}

/**
 * Reads and checks the identity in a state folder. Throws `StateError`: `state_not_registered`, `state_unreadable`,
 * `state_permissions`, `state_damaged`, `state_key_mismatch`, `certificate_expired`, `certificate_not_yet_valid`.
 */
export async function loadIdentity(stateDir: string, options: LoadOptions = {}): Promise<Identity> {
  const { now = Date.now(), allowExpired = false } = options;
  const brokerJson = await readState(stateDir, BROKER_FILE);
  if (brokerJson === null) {
    throw new StateError("state_not_registered", `Cannot find an identity in "${stateDir}": register first`);
  }
  await checkPermissions(stateDir);
  const broker = parseBroker(brokerJson, join(stateDir, BROKER_FILE));
  const ca = await require(stateDir, CA_FILE);
  const keyText = await require(stateDir, KEY_FILE);
  // After a renewal one file holds the two, since one rename cannot replace two files.
  const certificate = certificateBlocks(keyText) || await require(stateDir, CERTIFICATE_FILE);
  const notAfter = checkCertificate(stateDir, { ca, certificate, key: keyText }, now);
  const identity = { ...broker, ca, certificate, key: new Secret(privateKeyBlock(keyText)), notAfter };
  if (notAfter > now || allowExpired) return identity;
  // A renewal that was cut short before its switch may have left a certificate that is still good.
  const renewed = await readRenewal(stateDir, identity, now);
  if (renewed !== null) return renewed;
  const end = new Date(notAfter).toISOString();
  throw new StateError(
    "certificate_expired",
    `Cannot use the certificate in "${stateDir}": it expired at ${end}`,
    {
      details: { notAfter },
    },
  );
}

/** True when the folder holds an identity, sound or not. Throws `state_unreadable`. */
export async function isRegistered(stateDir: string): Promise<boolean> {
  return await readState(stateDir, BROKER_FILE) !== null;
}

/** Puts an identity in place, `broker.json` last. Throws `state_unwritable`. */
export async function saveIdentity(stateDir: string, identity: Identity): Promise<void> {
  const { connectorId, address, tunnelName, enrolName, ca, certificate, key } = identity;
  const write = (name: string, content: string, mode: number) => {
    const path = join(stateDir, name);
    return writing(path, () => writeFileAtomically(path, content, mode));
  };
  // An identity that is being replaced must not be taken for one with files of another.
  await removeState(stateDir, BROKER_FILE);
  await writing(stateDir, () => syncFolder(stateDir));
  await removeRenewal(stateDir);
  await write(CA_FILE, ca, 0o644);
  // The key first: alone in its file, it makes the certificate's own file count.
  await write(KEY_FILE, key.reveal(), 0o600);
  await write(CERTIFICATE_FILE, certificate, 0o644);
  const broker = { brokerAddress: formatHostPort(address), tunnelName, enrolName, connectorId };
  await write(BROKER_FILE, JSON.stringify(broker, null, 2) + "\n", 0o644);
}

async function require(stateDir: string, name: string): Promise<string> {
  const content = await readState(stateDir, name);
  if (content === null) throw damaged(join(stateDir, name), "it is missing");
  return content;
}

function parseBroker(json: string, path: string): Broker {
  let value: Record<string, unknown> | null;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw damaged(path, "it is not JSON", cause);
  }
  const { brokerAddress, tunnelName, enrolName, connectorId } = value ?? {};
  const address = parseHostPort(brokerAddress);
  if (address === null) throw damaged(path, '"brokerAddress" is not host:port');
  if (!isDnsName(tunnelName)) throw damaged(path, '"tunnelName" is not a DNS name');
  if (!isDnsName(enrolName)) throw damaged(path, '"enrolName" is not a DNS name');
  if (typeof connectorId !== "string" || connectorId === "") throw damaged(path, '"connectorId" is missing');
  return { address, tunnelName, enrolName, connectorId };
}

/** When the certificate ends. */
function checkCertificate(
  stateDir: string,
  files: { ca: string; certificate: string; key: string },
  now: number,
): number {
  const path = join(stateDir, CERTIFICATE_FILE);
  const part = <T>(name: string, read: () => T): T => {
    try {
      return read();
    } catch (cause) {
      throw damaged(join(stateDir, name), cause instanceof Error ? cause.message : String(cause), cause);
    }
  };
  part(CA_FILE, () => readCertificates(files.ca));
  const [leaf] = part(CERTIFICATE_FILE, () => readCertificates(files.certificate));
  const key = part(KEY_FILE, () => readPrivateKey(files.key));
  if (!keyMatches(leaf, key)) {
    throw new StateError(
      "state_key_mismatch",
      `Cannot use "${path}": it is not the certificate of "${KEY_FILE}"`,
    );
  }
  const { notBefore, notAfter } = validity(leaf);
  const date = (at: number) => new Date(at).toISOString();
  if (now < notBefore) {
    const state = `it begins at ${date(notBefore)}, this host's clock says ${date(now)}`;
    throw new StateError("certificate_not_yet_valid", `Cannot use "${path}": ${state}`, {
      details: { notBefore },
    });
  }
  return notAfter;
}

function damaged(path: string, state: string, cause?: unknown): StateError {
  return new StateError("state_damaged", `Cannot use "${path}": ${state}`, { cause, details: { path } });
}
