import { createHash } from "node:crypto";
import { isDnsName, parseHostPort } from "./address.ts";
import { EnrolmentFormatError } from "./enrolment_errors.ts";

/** What an administrator hands to whoever installs a connector: enough to find the broker and to trust it. */
export interface EnrolmentTokenContent {
  /** Where connectors dial: `host:port`, IPv6 in brackets. */
  brokerAddress: string;
  /** Name in the broker's certificate for tunnels, sent as SNI. */
  tunnelName: string;
  /** Name in the broker's certificate for enrolment, sent as SNI. */
  enrolName: string;
  /** SHA-256 of the root CA certificate (DER), 64 lower-case hex digits. */
  caFingerprint: string;
  /** 256 random bits, base64url, 43 characters. A secret: wrap it before it can reach a log. */
  secret: string;
}

/** How every token of this form begins: "Sallyport token, form 1". */
export const ENROLMENT_TOKEN_PREFIX = "spt1_";

/** More characters than any token has. */
export const ENROLMENT_TOKEN_MAX_LENGTH = 2_048;

const CHECKSUM_BYTES = 4;
const FINGERPRINT_BYTES = 32;
const SECRET_BYTES = 32;
const FIXED_BYTES = CHECKSUM_BYTES + FINGERPRINT_BYTES + SECRET_BYTES;

/**
 * Writes a token: prefix, then base64url of checksum (first 4 bytes of SHA-256 of what follows), fingerprint,
 * secret, and the JSON array `[brokerAddress, tunnelName, enrolName]`. Throws `token_malformed` for bad content.
 */
export function encodeEnrolmentToken(content: EnrolmentTokenContent): string {
  checkContent(content);
  const body = Buffer.concat([
    Buffer.from(content.caFingerprint, "hex"),
    Buffer.from(content.secret, "base64url"),
    Buffer.from(JSON.stringify([content.brokerAddress, content.tunnelName, content.enrolName])),
  ]);
  return ENROLMENT_TOKEN_PREFIX + Buffer.concat([checksum(body), body]).toString("base64url");
}

/**
 * Reads a token, with white space anywhere in it (line wraps of mails and terminals) ignored. Throws
 * `token_malformed`: not a token, of a newer form, or cut off or altered (`details.reason`).
 */
export function parseEnrolmentToken(value: unknown): EnrolmentTokenContent {
  if (typeof value !== "string" || value.length > ENROLMENT_TOKEN_MAX_LENGTH) {
    throw malformed("length", `it is not a text of at most ${ENROLMENT_TOKEN_MAX_LENGTH} characters`);
  }
  const text = value.replace(/\s+/g, "");
  if (!text.startsWith(ENROLMENT_TOKEN_PREFIX)) {
    if (/^spt[0-9]+_/.test(text)) {
      throw malformed("form", "it was made by a newer broker: update the connector");
    }
    throw malformed("prefix", `it does not begin with "${ENROLMENT_TOKEN_PREFIX}"`);
  }
  const encoded = text.slice(ENROLMENT_TOKEN_PREFIX.length);
  const bytes = Buffer.from(encoded, "base64url");
  const body = bytes.subarray(CHECKSUM_BYTES);
  if (
    bytes.length <= FIXED_BYTES || bytes.toString("base64url") !== encoded ||
    !checksum(body).equals(bytes.subarray(0, CHECKSUM_BYTES))
  ) throw malformed("damaged", "it was cut off or altered: copy it again, whole");
  return readBody(body);
}

function readBody(body: Buffer): EnrolmentTokenContent {
  let names: unknown;
  try {
    names = JSON.parse(body.subarray(FINGERPRINT_BYTES + SECRET_BYTES).toString());
  } catch {
    names = null;
  }
  const [brokerAddress, tunnelName, enrolName] = Array.isArray(names) ? names : [];
  const content = {
    brokerAddress,
    tunnelName,
    enrolName,
    caFingerprint: body.subarray(0, FINGERPRINT_BYTES).toString("hex"),
    secret: body.subarray(FINGERPRINT_BYTES, FINGERPRINT_BYTES + SECRET_BYTES).toString("base64url"),
  };
  checkContent(content);
  return content;
}

function checkContent(content: EnrolmentTokenContent): void {
  if (parseHostPort(content.brokerAddress) === null) {
    throw malformed("brokerAddress", "its broker address is not host:port");
  }
  if (!isDnsName(content.tunnelName)) throw malformed("tunnelName", "its tunnel name is not a DNS name");
  if (!isDnsName(content.enrolName)) throw malformed("enrolName", "its enrolment name is not a DNS name");
  if (!/^[0-9a-f]{64}$/.test(content.caFingerprint)) {
    throw malformed("caFingerprint", "its CA fingerprint is not SHA-256 in hex");
  }
  if (!isEnrolmentSecret(content.secret)) {
    throw malformed("secret", "its secret is not 256 bits in base64url");
  }
}

/** True for 256 bits in canonical base64url. */
export function isEnrolmentSecret(value: unknown): value is string {
  return typeof value === "string" && /^[A-Za-z0-9_-]{43}$/.test(value) &&
    Buffer.from(value, "base64url").toString("base64url") === value;
}

function checksum(body: Uint8Array): Buffer {
  return createHash("sha256").update(body).digest().subarray(0, CHECKSUM_BYTES);
}

function malformed(reason: string, state: string): EnrolmentFormatError {
  return new EnrolmentFormatError("token_malformed", `Cannot read enrolment token: ${state}`, { reason });
}
