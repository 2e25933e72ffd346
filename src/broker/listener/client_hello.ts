import type { FrontStep } from "./front.ts";

/** What a client asks for before encryption starts. */
export interface ClientHello {
  /** Lower case, without a trailing dot; undefined when the client named no server. */
  readonly serverName: string | undefined;
  /** Protocols in the client's order, each one character a byte; empty when it offers none. */
  readonly alpn: readonly string[];
}

/** Longest ClientHello that is looked at, record headers included, in bytes. */
export const CLIENT_HELLO_LIMIT = 16_384;

/** Records that a ClientHello may be spread over. Real ones take one or two; each one more is work before anybody is known. */
const MOST_RECORDS = 32;

const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const EXTENSION_SERVER_NAME = 0;
const EXTENSION_ALPN = 16;

class Malformed extends Error {}

/** Steps through bytes; leaving the given range is `Malformed`. */
class Cursor {
  private at: number;
  private readonly bytes: Uint8Array;
  readonly end: number;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  get done(): boolean {
    return this.at === this.end;
  }

  /** A big-endian number of `width` bytes. */
  number(width: 1 | 2 | 3): number {
    const from = this.skip(width);
    let value = 0;
    for (let i = 0; i < width; i++) value = value * 256 + this.bytes[from + i]!;
    return value;
  }

  /** Steps over `length` bytes and says where they start. */
  skip(length: number): number {
    const from = this.at;
    if (from + length > this.end) throw new Malformed("a length leads beyond its container");
    this.at = from + length;
    return from;
  }

  /** What a length of `width` bytes announces, as a range of its own. */
  vector(width: 1 | 2 | 3): Cursor {
    const length = this.number(width);
    const from = this.skip(length);
    return new Cursor(this.bytes, from, from + length);
  }

  /** All that is left, one character a byte. */
  text(): string {
    let text = "";
    while (this.at < this.end) text += String.fromCharCode(this.bytes[this.at++]!);
    return text;
  }
}

/**
 * Reads the ClientHello (RFC 8446 section 4.1.2; the same shape since TLS 1.0) at the front of a connection. It may
 * span packets and records. Looks only: `consumed` is always 0. An encrypted ClientHello shows its outer name.
 */
export function parseClientHello(bytes: Uint8Array): FrontStep<ClientHello> {
  // First the records: their payloads joined are the handshake message.
  let message: Uint8Array | undefined;
  let gathered = 0;
  let wanted = 4;
  for (let at = 0, records = 0; gathered < wanted;) {
    if (++records > MOST_RECORDS) return { state: "error", reason: "too many records" };
    if (bytes.length >= at + 1 && bytes[at] !== HANDSHAKE) return { state: "error", reason: "not TLS" };
    if (bytes.length >= at + 2 && bytes[at + 1] !== 3) return { state: "error", reason: "not TLS" };
    if (bytes.length < at + 5) return { state: "more", need: at + 5 };
    const length = bytes[at + 3]! * 256 + bytes[at + 4]!;
    // RFC 8446 section 5.1: handshake records are never empty.
    if (length === 0 || length > CLIENT_HELLO_LIMIT) return { state: "error", reason: "odd record length" };
    const end = at + 5 + length;
    if (end > CLIENT_HELLO_LIMIT) return { state: "error", reason: "too long" };
    if (bytes.length < end) return { state: "more", need: end };
    const payload = bytes.subarray(at + 5, end);
    if (message === undefined) message = payload;
    else {
      const joined = new Uint8Array(gathered + length);
      joined.set(message);
      joined.set(payload, gathered);
      message = joined;
    }
    gathered += length;
    if (message[0] !== CLIENT_HELLO) return { state: "error", reason: "not a ClientHello" };
    if (gathered >= 4) wanted = 4 + message[1]! * 65_536 + message[2]! * 256 + message[3]!;
    if (wanted > CLIENT_HELLO_LIMIT) return { state: "error", reason: "too long" };
    at = end;
  }
  if (gathered > wanted) return { state: "error", reason: "bytes after the ClientHello" };
  try {
    return { state: "complete", value: readHello(new Cursor(message!, 4, wanted)), consumed: 0 };
  } catch (error) {
    if (error instanceof Malformed) return { state: "error", reason: error.message };
    throw error;
  }
}

function readHello(hello: Cursor): ClientHello {
  hello.skip(2 + 32); // legacy version, random
  hello.vector(1); // session id
  hello.vector(2); // cipher suites
  hello.vector(1); // compression methods
  let serverName: string | undefined;
  let alpn: string[] = [];
  if (hello.done) return { serverName, alpn };
  const extensions = hello.vector(2);
  if (!hello.done) throw new Malformed("bytes after the extensions");
  const seen = new Set<number>();
  while (!extensions.done) {
    const type = extensions.number(2);
    if (seen.has(type)) throw new Malformed("an extension stands twice");
    seen.add(type);
    const body = extensions.vector(2);
    if (type === EXTENSION_SERVER_NAME) serverName = readServerName(body);
    else if (type === EXTENSION_ALPN) alpn = readAlpn(body);
  }
  return { serverName, alpn };
}

/** RFC 6066 section 3: a list, in practice of one DNS name. */
function readServerName(body: Cursor): string {
  const list = body.vector(2);
  if (list.number(1) !== 0) throw new Malformed("unknown kind of server name");
  const name = list.vector(2).text().toLowerCase().replace(/\.$/, "");
  if (!list.done || !body.done) throw new Malformed("more than one server name");
  if (name.length > 253 || !/^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(name)) {
    throw new Malformed("odd server name");
  }
  return name;
}

/** RFC 7301 section 3.1. */
function readAlpn(body: Cursor): string[] {
  const list = body.vector(2);
  if (!body.done) throw new Malformed("bytes after the protocol list");
  const protocols: string[] = [];
  while (!list.done) {
    const name = list.vector(1).text();
    if (name === "") throw new Malformed("an empty protocol name");
    protocols.push(name);
  }
  return protocols;
}
