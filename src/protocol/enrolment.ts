import { isDnsName, parseHostPort } from "./address.ts";
import { EnrolmentFormatError } from "./enrolment_errors.ts";
import { isEnrolmentSecret } from "./enrolment_token.ts";

export { encodeEnrolmentToken, type EnrolmentTokenContent, parseEnrolmentToken } from "./enrolment_token.ts";

/** Where a connector enrols: `POST`, JSON both ways, problem+json on failure. */
export const ENROL_PATH = "/enrol/v1/connectors";

/** Where anyone may ask for the broker's time: `GET`, {@linkcode EnrolmentHello}. */
export const ENROL_HELLO_PATH = "/enrol/v1/hello";

/** Bytes of the largest enrolment request or answer that either side reads. */
export const ENROLMENT_BODY_LIMIT = 64 * 1024;

/** What a connector asks with. */
export interface EnrolmentRequest {
  /** The token's secret. */
  secret: string;
  /** PKCS#10 request, PEM; only its public key is used. */
  csr: string;
  machineName: string;
  /** E.g. `linux x64`. */
  os: string;
  /** Version of the connector's software. */
  version: string;
}

/** What the broker gives. */
export interface EnrolmentResponse {
  connectorId: string;
  /** The connector's certificate, PEM, followed by the issuing certificates up to but without the root. */
  certificate: string;
  /** Trust anchors, PEM, one or more. */
  ca: string;
  tunnelName: string;
  brokerAddress: string;
}

/** What the broker says of itself to anyone. */
export interface EnrolmentHello {
  /** The broker's clock, milliseconds since the epoch. */
  time: number;
}

/** A refusal: the `code` and `detail` of a problem body. */
export interface EnrolmentProblem {
  code: string;
  detail: string;
}

/** A check of one member: the longest it may be, in characters, and its form. */
export interface Member {
  max: number;
  valid: (value: string) => boolean;
}

// deno-lint-ignore no-control-regex -- control characters are what it refuses: they would end up in logs and tables
const printable = (value: string) => value !== "" && !/[\u0000-\u001f\u007f-\u009f]/.test(value);
const pem = (label: string) => (value: string) => value.includes(`-----BEGIN ${label}-----`);

/** Text without control characters. */
export const printableMember = (max: number): Member => ({ max, valid: printable });

/** A PKCS#10 request, PEM. */
export const csrMember: Member = { max: 16_384, valid: pem("CERTIFICATE REQUEST") };

const REQUEST: Readonly<Record<keyof EnrolmentRequest, Member>> = {
  secret: { max: 43, valid: isEnrolmentSecret },
  csr: csrMember,
  machineName: printableMember(255),
  os: printableMember(255),
  version: printableMember(64),
};

const RESPONSE: Readonly<Record<keyof EnrolmentResponse, Member>> = {
  connectorId: { max: 64, valid: (value) => /^[A-Za-z0-9_-]+$/.test(value) },
  certificate: { max: 32_768, valid: pem("CERTIFICATE") },
  ca: { max: 32_768, valid: pem("CERTIFICATE") },
  tunnelName: { max: 253, valid: isDnsName },
  brokerAddress: { max: 260, valid: (value) => parseHostPort(value) !== null },
};

/** Reads a request's JSON value; members it does not know are ignored. Throws `enrolment_message_invalid`. */
export function parseEnrolmentRequest(value: unknown): EnrolmentRequest {
  return parseMembers("request", value, REQUEST);
}

/** Reads an answer's JSON value; members it does not know are ignored. Throws `enrolment_message_invalid`. */
export function parseEnrolmentResponse(value: unknown): EnrolmentResponse {
  return parseMembers("response", value, RESPONSE);
}

/** Reads the broker's hello. Throws `enrolment_message_invalid`. */
export function parseEnrolmentHello(value: unknown): EnrolmentHello {
  const time = membersOf("hello", value)["time"];
  if (typeof time !== "number" || !Number.isSafeInteger(time)) throw invalid("hello", "time");
  return { time };
}

/** Reads a problem body as far as it can be read: null when it has no code. */
export function parseEnrolmentProblem(value: unknown): EnrolmentProblem | null {
  if (typeof value !== "object" || value === null) return null;
  const { code, detail } = value as Record<string, unknown>;
  if (typeof code !== "string" || !/^[a-z][a-z0-9_]{0,63}$/.test(code)) return null;
  return { code, detail: typeof detail === "string" && printable(detail) ? detail.slice(0, 500) : "" };
}

/** Reads text members of a JSON object, each as its check says. Throws `enrolment_message_invalid`. */
export function parseMembers<T extends object>(
  what: string,
  value: unknown,
  members: Readonly<Record<keyof T, Member>>,
): T {
  const given = membersOf(what, value);
  const parsed: Record<string, string> = {};
  for (const [name, { max, valid }] of Object.entries<Member>(members)) {
    const member = given[name];
    if (typeof member !== "string" || member.length > max || !valid(member)) throw invalid(what, name);
    parsed[name] = member;
  }
  return parsed as T;
}

function membersOf(what: string, value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid(what, "");
  return value as Record<string, unknown>;
}

function invalid(what: string, member: string): EnrolmentFormatError {
  const state = member === "" ? "it is not a JSON object" : `"${member}" is missing or not valid`;
  return new EnrolmentFormatError("enrolment_message_invalid", `Cannot read enrolment ${what}: ${state}`, {
    what,
    member,
  });
}
