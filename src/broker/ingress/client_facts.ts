import type { AddressedSocket, CidrList } from "../listener/address.ts";
import { normalizeAddress } from "../listener/address.ts";
import { clientAddressOf } from "../listener/client_address.ts";
import { isIP } from "node:net";

/** What is known of a connection, once for all of its requests. */
export interface ConnectionFacts {
  /** The peer, by PROXY protocol or socket; empty when the connection is gone. */
  readonly address: string;
  readonly port: number;
  readonly proto: "http" | "https";
  /** The peer is a listed proxy: its forwarding headers are believed. */
  readonly trusted: boolean;
  /** The name that the client asked for in its TLS handshake, lower case; empty where it asked for none, and without TLS. */
  readonly serverName: string;
}

/** The socket of an HTTP/1.1 request or HTTP/2 session. */
export interface UserSocket extends AddressedSocket {
  readonly encrypted?: boolean;
  readonly servername?: string | false | null;
}

/** Who sends a request and how it was asked for; what the fresh forwarding headers of the request say. */
export interface RequestFacts {
  /** The user's address, as far as trusted proxies vouch for it. */
  readonly address: string;
  /** `X-Forwarded-For`: the user and the trusted proxies between, the nearest last; nothing that a user could forge. */
  readonly forwardedFor: string;
  /** `X-Forwarded-Proto`. */
  readonly proto: "http" | "https";
  /** `X-Forwarded-Host`: as the user's browser sent it. */
  readonly host: string;
}

/** Reads client facts for connections and requests. */
export interface ClientFacts {
  /** `socket` is that of an HTTP/1.1 request or `session.socket`. Cheap after the first call for a connection. */
  connection(socket: UserSocket): ConnectionFacts;
  /** `rawHeaders`: names and values in turn; looked at only when the peer is a listed proxy. `host`: the request's own. */
  request(connection: ConnectionFacts, rawHeaders: readonly string[], host: string): RequestFacts;
}

/** One that believes `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded` (RFC 7239) only from `trustedProxies`. */
export function createClientFacts(trustedProxies: CidrList): ClientFacts {
  const seen = new WeakMap<object, ConnectionFacts>();
  return {
    connection(socket) {
      const before = seen.get(socket);
      if (before !== undefined) return before;
      const { address, port } = clientAddressOf(socket);
      const facts: ConnectionFacts = {
        address,
        port,
        proto: socket.encrypted === true ? "https" : "http",
        trusted: trustedProxies.contains(address),
        serverName: serverNameOf(socket),
      };
      if (address !== "") seen.set(socket, facts);
      return facts;
    },
    request(connection, rawHeaders, host) {
      if (connection.trusted) return throughProxies(trustedProxies, connection, rawHeaders, host);
      const { address, proto } = connection;
      return { address, forwardedFor: address, proto, host };
    },
  };
}

function serverNameOf({ servername }: UserSocket): string {
  return typeof servername === "string" ? servername.toLowerCase().replace(/\.$/, "") : "";
}

/** What one proxy said of the hop before it. */
interface Hop {
  address: string | undefined;
  proto: string | undefined;
  host: string | undefined;
}

/** More hops than anybody has; what lies beyond is a user's invention. */
const MAX_HOPS = 32;

function throughProxies(
  trusted: CidrList,
  connection: ConnectionFacts,
  rawHeaders: readonly string[],
  ownHost: string,
): RequestFacts {
  const hops = readHops(rawHeaders);
  const chain = [connection.address];
  let proto: string = connection.proto;
  let host = ownHost;
  // From the right: each entry was written by the hop to the right of it, which has been found to be trusted.
  for (let i = hops.length - 1; i >= 0 && chain.length <= MAX_HOPS; i--) {
    const hop = hops[i]!;
    proto = hop.proto ?? proto;
    host = hop.host ?? host;
    if (hop.address === undefined) break;
    chain.unshift(hop.address);
    if (!trusted.contains(hop.address)) break;
  }
  return {
    address: chain[0]!,
    forwardedFor: chain.join(", "),
    proto: proto === "https" ? "https" : "http",
    host,
  };
}

/** `X-Forwarded-For` where it is there, as nearly every proxy writes it; else `Forwarded`. */
function readHops(rawHeaders: readonly string[]): Hop[] {
  const addresses = listOf(rawHeaders, "x-forwarded-for");
  const protos = listOf(rawHeaders, "x-forwarded-proto");
  const hosts = listOf(rawHeaders, "x-forwarded-host");
  if (addresses.length === 0 && protos.length === 0 && hosts.length === 0) {
    return listOf(rawHeaders, "forwarded").map(readForwarded);
  }
  // Each list may be shorter than the longest: many proxies replace -Proto and -Host, and append to -For only.
  const length = Math.max(addresses.length, protos.length, hosts.length, 1);
  const fromRight = (list: string[], i: number) => list[list.length - length + i];
  return Array.from({ length }, (_, i) => ({
    address: readAddress(fromRight(addresses, i)),
    proto: readProto(fromRight(protos, i)),
    host: readHost(fromRight(hosts, i)),
  }));
}

/** The last `MAX_HOPS` values of all lines of a header that is a comma-separated list. */
function listOf(rawHeaders: readonly string[], name: string): string[] {
  const values: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]!.length !== name.length || rawHeaders[i]!.toLowerCase() !== name) continue;
    for (const value of splitUnquoted(rawHeaders[i + 1]!, COMMA)) {
      if (value !== "") values.push(value);
    }
  }
  return values.slice(-MAX_HOPS);
}

const COMMA = 0x2c;
const SEMICOLON = 0x3b;

/** Parts between separators that stand outside of quoted strings (RFC 9110 section 5.6.4), trimmed. One pass: users choose the text. */
function splitUnquoted(text: string, separator: number): string[] {
  const parts: string[] = [];
  let from = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) quoted = !quoted;
    else if (quoted && code === 0x5c) at++;
    else if (!quoted && code === separator) {
      parts.push(text.slice(from, at).trim());
      from = at + 1;
    }
  }
  parts.push(text.slice(from).trim());
  return parts;
}

function readForwarded(element: string): Hop {
  const hop: Hop = { address: undefined, proto: undefined, host: undefined };
  for (const pair of splitUnquoted(element, SEMICOLON)) {
    const equals = pair.indexOf("=");
    if (equals < 0) continue;
    const name = pair.slice(0, equals).toLowerCase();
    const value = unquoted(pair.slice(equals + 1));
    if (name === "for") hop.address = readAddress(value);
    else if (name === "proto") hop.proto = readProto(value);
    else if (name === "host") hop.host = readHost(value);
  }
  return hop;
}

/** A token as it is; a quoted string without its quotes. */
function unquoted(value: string): string {
  if (value.length < 2 || !value.startsWith('"') || !value.endsWith('"')) return value;
  return value.slice(1, -1).replace(/\\(.)/g, "$1");
}

/** `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`; undefined for names, `unknown` and the like. */
function readAddress(text: string | undefined): string | undefined {
  const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(text ?? "")?.[1] ?? /^([\d.]+):\d+$/.exec(text ?? "")?.[1] ??
    text ?? "";
  return isIP(bare) === 0 ? undefined : normalizeAddress(bare);
}

function readProto(text: string | undefined): string | undefined {
  const proto = text?.toLowerCase();
  return proto === "http" || proto === "https" ? proto : undefined;
}

function readHost(text: string | undefined): string | undefined {
  return text !== undefined && /^[\w.:[\]-]{1,261}$/.test(text) ? text : undefined;
}
