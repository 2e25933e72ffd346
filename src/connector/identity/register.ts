import { rmdir } from "node:fs/promises";
import { removeTemporaryFiles } from "../../platform/atomic_file.ts";
import {
  certificateFingerprint,
  isIssuedBy,
  keyMatches,
  readCertificates,
  readPrivateKey,
  validity,
} from "../../platform/certificate.ts";
import type { Log } from "../../platform/log.ts";
import { Secret } from "../../platform/secret.ts";
import { createCertificateRequest, type KeyType } from "../../platform/x509.ts";
import { formatHostPort, type HostPort, parseHostPort } from "../../protocol/address.ts";
import {
  ENROL_HELLO_PATH,
  ENROL_PATH,
  type EnrolmentRequest,
  type EnrolmentResponse,
  type EnrolmentTokenContent,
  parseEnrolmentHello,
  parseEnrolmentResponse,
  parseEnrolmentToken,
} from "../../protocol/enrolment.ts";
import type { ProxyFor } from "../outbound/proxy.ts";
import { callBroker } from "./broker_call.ts";
import { checkClock } from "./broker_clock.ts";
import { fetchRoot } from "./enrolment_socket.ts";
import { RegistrationError } from "./errors.ts";
import { type Identity, isRegistered, saveIdentity } from "./identity.ts";
import { pendingKey, removePendingKeys } from "./pending_key.ts";
import { prepareStateFolder, writing } from "./state_folder.ts";
import { lockState } from "./state_lock.ts";

/** What a registration needs. */
export interface RegisterOptions {
  stateDir: string;
  /** The enrolment token, as the administrator gave it. */
  token: Secret;
  machineName: string;
  /** E.g. `linux x64`. */
  os: string;
  /** Version of this software. */
  version: string;
  log: Log;
  /** SHA-256 of the broker's root certificate, as told by another way than the token; they must agree. */
  caFingerprint?: string | undefined;
  /** Replaces an identity that is already there. */
  force?: boolean;
  keyType?: KeyType;
  /** Milliseconds that each step of the conversation with the broker may take. */
  stepMs?: number;
  signal?: AbortSignal | undefined;
  /** The proxy on the way to the broker; none by default. */
  proxyFor?: ProxyFor | undefined;
}

/**
 * Makes this host a connector: a key made here, a certificate for it from the broker of the token, both on disk when
 * it resolves. Throws `EnrolmentFormatError` (`token_malformed`), `StateError`, `RegistrationError`. After a failure
 * in which the broker may have done its part, the same token works again from this folder.
 */
export async function register(options: RegisterOptions): Promise<Identity> {
  const token = parseEnrolmentToken(options.token.reveal());
  const { stateDir } = options;
  checkFingerprint(options.caFingerprint, token.caFingerprint);
  const created = await prepareStateFolder(stateDir);
  try {
    await using _lock = lockState(stateDir);
    return await registerLocked(options, token);
  } catch (error) {
    // A folder that nothing was kept in goes again; one with a pending key stays.
    if (created) await rmdir(stateDir).catch(() => {});
    throw error;
  }
}

function checkFingerprint(given: string | undefined, ofToken: string): void {
  const expected = given?.replace(/[\s:]/g, "").toLowerCase();
  if (expected === undefined || expected === ofToken) return;
  if (!/^[0-9a-f]{64}$/.test(expected)) {
    throw new RegistrationError(
      "ca_fingerprint_mismatch",
      `Cannot register: "${given}" is no SHA-256 in hex, which has 64 digits`,
      { details: { step: "token", expected, found: [ofToken] } },
    );
  }
  throw new RegistrationError(
    "ca_fingerprint_mismatch",
    `Cannot register: the token is of a broker with CA fingerprint "${ofToken}", not "${expected}"`,
    { details: { step: "token", expected, found: [ofToken] } },
  );
}

async function registerLocked(options: RegisterOptions, token: EnrolmentTokenContent): Promise<Identity> {
  const { stateDir, log, force = false, keyType = "p256", stepMs = 10_000, signal, proxyFor } = options;
  if (!force && await isRegistered(stateDir)) {
    throw new RegistrationError(
      "already_registered",
      `Cannot register: "${stateDir}" already holds an identity; --force replaces it, and keeps id and group with a ` +
        "token of: sallyport-broker token create --connector ID",
    );
  }
  await writing(stateDir, () => removeTemporaryFiles(stateDir));
  const address = addressOf(token.brokerAddress);
  const { enrolName, caFingerprint, secret } = token;
  const key = await pendingKey(stateDir, secret, keyType);
  log.debug("Asking the broker for a certificate", { broker: token.brokerAddress, enrolName });
  const { machineName, os, version } = options;
  let answer: EnrolmentResponse;
  try {
    const csr = await createCertificateRequest(key, machineName.slice(0, 64));
    const target = { address, enrolName, stepMs, signal, proxyFor };
    const trust = { ca: await fetchRoot({ ...target, trust: { caFingerprint } }, caFingerprint) };
    // Asked first: a certificate that is not valid by this host's clock would have cost a use of the token.
    checkClock((await callBroker({ ...target, trust }, ENROL_HELLO_PATH, null, parseEnrolmentHello)).time);
    const request: EnrolmentRequest = { secret, csr, machineName, os, version };
    answer = await callBroker(
      { ...target, trust },
      ENROL_PATH,
      JSON.stringify(request),
      parseEnrolmentResponse,
    );
  } catch (error) {
    if (!mayHaveEnrolled(error)) await removePendingKeys(stateDir).catch(() => {});
    throw error;
  }
  const identity = verifyAnswer(answer, token, key);
  await saveIdentity(stateDir, identity);
  await removePendingKeys(stateDir);
  log.info("Registered", { connector: identity.connectorId, broker: formatHostPort(identity.address) });
  return identity;
}

/** True where the answer is missing or useless, though the broker may have used the token for our key. */
function mayHaveEnrolled(error: unknown): boolean {
  if (!(error instanceof RegistrationError)) return true;
  return error.code === "registration_aborted" || error.code === "enrolment_answer_invalid" ||
    (error.details.step === "answer" && (error.retryable || Number(error.details.status) >= 500));
}

function verifyAnswer(answer: EnrolmentResponse, token: EnrolmentTokenContent, key: string): Identity {
  const refuse = (state: string) =>
    new RegistrationError("enrolment_answer_invalid", `Cannot use the broker's answer: ${state}`, {
      details: { step: "answer" },
    });
  const chain = readCertificates(answer.certificate);
  const [leaf] = chain;
  if (!keyMatches(leaf, readPrivateKey(key))) throw refuse("its certificate is not for this connector's key");
  if (leaf.subjectAltName !== `URI:sallyport:connector:${answer.connectorId}`) {
    throw refuse("its certificate names another connector");
  }
  const root = readCertificates(answer.ca).find((anchor) =>
    certificateFingerprint(anchor) === token.caFingerprint
  );
  if (root === undefined) throw refuse("the CA of the token is not among its trust anchors");
  const linked = chain.every((certificate, at) => isIssuedBy(certificate, chain[at + 1] ?? root));
  if (!linked) throw refuse("its certificate is not from the CA of the token");
  return {
    connectorId: answer.connectorId,
    address: addressOf(answer.brokerAddress),
    tunnelName: answer.tunnelName,
    enrolName: token.enrolName,
    ca: answer.ca,
    certificate: answer.certificate,
    key: new Secret(key),
    notAfter: validity(leaf).notAfter,
  };
}

/** Addresses were checked when they were read. */
function addressOf(text: string): HostPort {
  const address = parseHostPort(text);
  if (address === null) {
    throw new RegistrationError("enrolment_answer_invalid", `Cannot use broker address "${text}"`);
  }
  return address;
}
