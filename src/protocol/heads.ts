import { ProtocolError } from "./errors.ts";
import { FRAME, frameHeader, type FrameKind } from "./frame.ts";
import {
  FRAME_HEADER_BYTES,
  MAX_ABORT_CODE,
  MAX_HEAD_BYTES,
  MAX_HEADER_STRINGS,
  MAX_TRAILER_BYTES,
} from "./limits.ts";
import { packFrame, unpack } from "./message_pack.ts";

/** Header names and values in turn, in order, duplicates kept; latin1, one character a byte. */
export type HeaderList = string[];

/** Who the user is, as the broker saw it. */
export interface ClientFacts {
  ip: string;
  /** Scheme that the user used, `http` or `https`. */
  scheme: string;
}

/** First frame of an exchange, broker to connector. */
export interface RequestHead {
  appId: string;
  /** Configuration revision that the connector must have reached to serve this. */
  revision: number;
  method: string;
  /** Raw request target for the backend, byte for byte. */
  target: string;
  headers: HeaderList;
  /** What follows: nothing, a body, or (after a 101) whatever both sides agree on. */
  follows: "nothing" | "body" | "upgrade";
  /** Milliseconds that the whole exchange may still take; 0 means no limit. */
  msLeft: number;
  client: ClientFacts;
  /** Name of this exchange in the logs of both sides. */
  requestId: string;
}

/** Head of a final response, connector to broker. */
export interface ResponseHead {
  status: number;
  reason: string;
  headers: HeaderList;
  /** False: the exchange's response direction ends with this head. */
  hasBody: boolean;
}

/** A 1xx response. */
export interface InformationalHead {
  status: number;
  headers: HeaderList;
}

/** Why a direction was aborted. */
export interface Abort {
  code: string;
  /** False: the backend has certainly not seen the request. */
  begun: boolean;
}

const FOLLOWS = ["nothing", "body", "upgrade"] as const;

function refuse(what: string): never {
  throw new ProtocolError(`Cannot read ${what}`);
}

function fields(payload: Buffer, least: number, what: string): unknown[] {
  const value = unpack(payload);
  if (!Array.isArray(value) || value.length < least) refuse(`${what}: too few fields`);
  return value;
}

function text(value: unknown, what: string): string {
  return typeof value === "string" ? value : refuse(`${what}: not text`);
}

function count(value: unknown, what: string): number {
  return Number.isSafeInteger(value) && (value as number) >= 0
    ? value as number
    : refuse(`${what}: not a count`);
}

function flag(value: unknown, what: string): boolean {
  return typeof value === "boolean" ? value : refuse(`${what}: not true or false`);
}

function status(value: unknown, least: number, most: number): number {
  const number = count(value, "status");
  return number >= least && number <= most ? number : refuse(`status ${number}: out of range`);
}

function headerList(value: unknown): HeaderList {
  if (!Array.isArray(value) || value.length % 2 !== 0) refuse("header list: not pairs");
  if (value.length > MAX_HEADER_STRINGS) refuse(`header list: more than ${MAX_HEADER_STRINGS / 2} headers`);
  for (const item of value) if (typeof item !== "string") refuse("header list: not text");
  return value;
}

/** A frame that the peer will take. Throws `ProtocolError` (`protocol_too_large`) where it would not. */
function packHead(
  kind: FrameKind,
  exchange: number,
  headers: HeaderList,
  value: unknown,
  most: number,
): Buffer {
  if (headers.length > MAX_HEADER_STRINGS) {
    tooLarge(`${headers.length / 2} headers, the limit is ${MAX_HEADER_STRINGS / 2}`);
  }
  const frame = packFrame(kind, exchange, value);
  const length = frame.length - FRAME_HEADER_BYTES;
  if (length > most) tooLarge(`${length} bytes, the limit is ${most}`);
  return frame;
}

function tooLarge(what: string): never {
  throw new ProtocolError(`Cannot send head: it has ${what}`, "protocol_too_large");
}

/**
 * The request frame; the exchange number is written into it by the lane that sends it. Throws `ProtocolError`
 * (`protocol_too_large`) when the connector would not take it.
 */
export function encodeRequest(head: RequestHead): Buffer {
  return packHead(FRAME.request, 0, head.headers, [
    head.appId,
    head.revision,
    head.method,
    head.target,
    head.headers,
    FOLLOWS.indexOf(head.follows),
    head.msLeft,
    [head.client.ip, head.client.scheme],
    head.requestId,
  ], MAX_HEAD_BYTES);
}

/** Reads the payload of a request frame. */
export function parseRequest(payload: Buffer): RequestHead {
  const [appId, revision, method, target, headers, follows, msLeft, client, requestId] = fields(
    payload,
    9,
    "request",
  );
  if (!Array.isArray(client)) refuse("client facts: not a list");
  return {
    appId: text(appId, "app id"),
    revision: count(revision, "revision"),
    method: text(method, "method"),
    target: text(target, "target"),
    headers: headerList(headers),
    follows: FOLLOWS[count(follows, "what follows")] ?? refuse(`what follows: ${follows} is unknown`),
    msLeft: count(msLeft, "milliseconds left"),
    client: { ip: text(client[0], "client address"), scheme: text(client[1], "client scheme") },
    requestId: text(requestId, "request id"),
  };
}

/** The response frame of an exchange. Throws `ProtocolError` (`protocol_too_large`) when the broker would not take it. */
export function encodeResponse(exchange: number, head: ResponseHead): Buffer {
  const { status, reason, headers, hasBody } = head;
  return packHead(FRAME.response, exchange, headers, [status, reason, headers, hasBody], MAX_HEAD_BYTES);
}

/** Reads the payload of a response frame; 101 is a final response here, other 1xx are not. */
export function parseResponse(payload: Buffer): ResponseHead {
  const [code, reason, headers, hasBody] = fields(payload, 4, "response");
  const number = status(code, 101, 999);
  if (number > 101 && number < 200) refuse(`response: status ${number} is informational`);
  return {
    status: number,
    reason: text(reason, "reason"),
    headers: headerList(headers),
    hasBody: flag(hasBody, "whether a body follows"),
  };
}

/** A frame with a 1xx response. Throws `ProtocolError` (`protocol_too_large`) when the broker would not take it. */
export function encodeInformational(exchange: number, head: InformationalHead): Buffer {
  const { status, headers } = head;
  return packHead(FRAME.informational, exchange, headers, [status, headers], MAX_HEAD_BYTES);
}

/** Reads the payload of an informational frame. */
export function parseInformational(payload: Buffer): InformationalHead {
  const [code, headers] = fields(payload, 2, "informational response");
  const number = status(code, 100, 199);
  if (number === 101) refuse("informational response: 101 is a final one");
  return { status: number, headers: headerList(headers) };
}

/** An `end` frame, with trailers where there are any. Throws `ProtocolError` (`protocol_too_large`) on too many. */
export function encodeEnd(exchange: number, trailers: HeaderList): Buffer {
  return trailers.length === 0
    ? frameHeader(FRAME.end, 0, exchange)
    : packHead(FRAME.end, exchange, trailers, [trailers], MAX_TRAILER_BYTES);
}

const NO_TRAILERS: HeaderList = [];

/** Reads the payload of an `end` frame. */
export function parseEnd(payload: Buffer): HeaderList {
  return payload.length === 0 ? NO_TRAILERS : headerList(fields(payload, 1, "end")[0]);
}

/** An `abort` frame. Its code is cut to what always fits: an abort cannot fail to leave. */
export function encodeAbort(exchange: number, abort: Abort): Buffer {
  return packFrame(FRAME.abort, exchange, [abort.code.slice(0, MAX_ABORT_CODE), abort.begun]);
}

/** Reads the payload of an `abort` frame. */
export function parseAbort(payload: Buffer): Abort {
  const [code, begun] = fields(payload, 2, "abort");
  return { code: text(code, "abort code"), begun: flag(begun, "whether begun") };
}

/** A `credit` frame: `bytes` more may be sent on this exchange. */
export function encodeCredit(exchange: number, bytes: number): Buffer {
  const frame = Buffer.allocUnsafe(12);
  frame.set(frameHeader(FRAME.credit, 4, exchange));
  frame.writeUInt32BE(bytes, 8);
  return frame;
}
