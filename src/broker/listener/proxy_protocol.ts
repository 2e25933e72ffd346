import { isIPv4, isIPv6 } from "node:net";
import { normalizeAddress, type PeerAddress } from "./address.ts";
import type { FrontStep } from "./front.ts";

/** What a PROXY protocol header tells: undefined where it leaves it to the socket (`UNKNOWN`, `LOCAL`, Unix sockets). */
export interface ProxyHeader {
  readonly source: PeerAddress | undefined;
}

/** Longest header that is read, in bytes: addresses are at most 36 of them, the rest is TLVs, which are skipped. */
export const PROXY_HEADER_LIMIT = 4_096;

/** CR LF CR LF NUL CR LF Q U I T LF */
const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
/** Longest version 1 line, CR LF included (specification section 2.1). */
const LINE_LIMIT = 107;
const PREFIX = [0x50, 0x52, 0x4f, 0x58, 0x59, 0x20]; // "PROXY "

/**
 * Reads a PROXY protocol header, version 1 or 2, at the front of a connection; anything else is an error, since
 * the header is not optional where it is expected (haproxy, "The PROXY protocol", section 2).
 */
export function parseProxyHeader(bytes: Uint8Array): FrontStep<ProxyHeader> {
  if (bytes.length === 0) return { state: "more", need: 1 };
  const expected = bytes[0] === PREFIX[0] ? PREFIX : SIGNATURE;
  const known = Math.min(bytes.length, expected.length);
  for (let i = 0; i < known; i++) {
    if (bytes[i] !== expected[i]) return { state: "error", reason: "no PROXY header" };
  }
  return expected === PREFIX ? parseLine(bytes) : parseBinary(bytes);
}

function parseLine(bytes: Uint8Array): FrontStep<ProxyHeader> {
  const visible = Math.min(bytes.length, LINE_LIMIT);
  let text = "";
  for (let i = 0; i < visible; i++) {
    const byte = bytes[i]!;
    if (byte === 0x0a) {
      if (text.charCodeAt(text.length - 1) !== 0x0d) break;
      return readLine(text.slice(0, -1), i + 1);
    }
    text += String.fromCharCode(byte);
  }
  if (visible === LINE_LIMIT || text.length < visible) return { state: "error", reason: "odd PROXY line" };
  return { state: "more", need: bytes.length + 1 };
}

function readLine(line: string, consumed: number): FrontStep<ProxyHeader> {
  const bad = { state: "error", reason: "odd PROXY line" } as const;
  if (/^PROXY UNKNOWN(?: |$)/.test(line)) {
    return { state: "complete", value: { source: undefined }, consumed };
  }
  const fields = line.split(" ");
  if (fields.length !== 6) return bad;
  const [, family, source, destination, sourcePort, destinationPort] = fields as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  const isAddress = family === "TCP4" ? isIPv4 : family === "TCP6" ? isIPv6 : undefined;
  if (isAddress === undefined || !isAddress(source) || !isAddress(destination)) return bad;
  const port = readPort(sourcePort);
  if (port === undefined || readPort(destinationPort) === undefined) return bad;
  return { state: "complete", value: { source: { address: normalizeAddress(source), port } }, consumed };
}

function readPort(text: string): number | undefined {
  if (!/^(?:0|[1-9]\d{0,4})$/.test(text)) return undefined;
  const port = Number(text);
  return port <= 65_535 ? port : undefined;
}

function parseBinary(bytes: Uint8Array): FrontStep<ProxyHeader> {
  if (bytes.length < 16) return { state: "more", need: 16 };
  const version = bytes[12]! >> 4;
  const command = bytes[12]! & 15;
  if (version !== 2 || command > 1) return { state: "error", reason: "unknown PROXY version or command" };
  const consumed = 16 + bytes[14]! * 256 + bytes[15]!;
  if (consumed > PROXY_HEADER_LIMIT) return { state: "error", reason: "PROXY header too long" };
  if (bytes.length < consumed) return { state: "more", need: consumed };
  // LOCAL: the proxy itself speaks (a health check); its addresses must be ignored.
  if (command === 0) return { state: "complete", value: { source: undefined }, consumed };
  const family = bytes[13]! >> 4;
  const transport = bytes[13]! & 15;
  if (family > 3 || transport > 2) return { state: "error", reason: "unknown PROXY family" };
  if (family === 0 || transport === 0 || family === 3) {
    return { state: "complete", value: { source: undefined }, consumed };
  }
  if (transport === 2) return { state: "error", reason: "PROXY header of a datagram" };
  const width = family === 1 ? 4 : 16;
  if (consumed < 16 + 2 * width + 4) return { state: "error", reason: "PROXY addresses cut short" };
  const portAt = 16 + 2 * width;
  const address = bytes.subarray(16, 16 + width);
  const source = {
    address: family === 1 ? address.join(".") : readIPv6(address),
    port: bytes[portAt]! * 256 + bytes[portAt + 1]!,
  };
  return { state: "complete", value: { source }, consumed };
}

function readIPv6(bytes: Uint8Array): string {
  const words: string[] = [];
  for (let i = 0; i < 16; i += 2) words.push((bytes[i]! * 256 + bytes[i + 1]!).toString(16));
  return normalizeAddress(words.join(":"));
}
