import { createHash } from "node:crypto";
import { csrMember, parseMembers, printableMember } from "./enrolment.ts";

/** Where a connector gets a nonce to sign: `POST` without a body, {@linkcode ReenrolmentNonce}. */
export const REENROL_NONCE_PATH = "/enrol/v1/nonces";

/** Where a connector whose certificate has expired proves its old key: `POST`; answered like an enrolment. */
export const REENROL_PATH = "/enrol/v1/reenrolments";

/** What is to be signed, for a minute and once. */
export interface ReenrolmentNonce {
  nonce: string;
  /** The broker's clock, milliseconds since the epoch. */
  time: number;
}

/** What a connector asks with that was known before. */
export interface ReenrolmentRequest {
  /** Serial number of its last certificate, lower-case hex: whose key it proves. */
  serial: string;
  nonce: string;
  /** Base64 of the signature with the old key over {@linkcode reenrolmentProof}, hash SHA-256; ECDSA in DER. */
  signature: string;
  /** PKCS#10 request of the new key, PEM; only its public key is used. */
  csr: string;
  machineName: string;
  os: string;
  /** Version of the connector's software. */
  version: string;
}

/** The bytes that the old key signs: what they are for, the nonce, the old certificate and the new request. */
export function reenrolmentProof(
  { nonce, serial, csr }: Pick<ReenrolmentRequest, "nonce" | "serial" | "csr">,
): Buffer {
  const csrSha256 = createHash("sha256").update(csr).digest("hex");
  return Buffer.from(["sallyport reenrolment 1", nonce, serial, csrSha256].join("\n"));
}

const text = (max: number, form: RegExp) => ({ max, valid: (value: string) => form.test(value) });

/** Reads a request's JSON value; members it does not know are ignored. Throws `enrolment_message_invalid`. */
export function parseReenrolmentRequest(value: unknown): ReenrolmentRequest {
  return parseMembers<ReenrolmentRequest>("request", value, {
    serial: text(64, /^[0-9a-f]{2,64}$/),
    nonce: text(128, /^[A-Za-z0-9_-]{16,128}$/),
    signature: text(2_048, /^[A-Za-z0-9+/]{16,}={0,2}$/),
    csr: csrMember,
    machineName: printableMember(255),
    os: printableMember(255),
    version: printableMember(64),
  });
}

/** Reads the broker's nonce. Throws `enrolment_message_invalid`. */
export function parseReenrolmentNonce(value: unknown): ReenrolmentNonce {
  const { nonce } = parseMembers<{ nonce: string }>("nonce", value, {
    nonce: text(128, /^[A-Za-z0-9_-]{16,128}$/),
  });
  const { time } = value as { time?: unknown };
  return { nonce, time: typeof time === "number" && Number.isSafeInteger(time) ? time : 0 };
}
