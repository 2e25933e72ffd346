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

/** Values of all lines of a header that is a comma-separated list, outside of quotes. */
function listOf(rawHeaders: readonly string[], name: string): string[] {
  const values: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]!.length !== name.length || rawHeaders[i]!.toLowerCase() !== name) continue;
    for (const match of rawHeaders[i + 1]!.matchAll(/(?:"(?:[^"\\]|\\.)*"|[^,"])+/g)) {
      values.push(match[0].trim());
    }
  }
  return values;
}

function readForwarded(element: string): Hop {
  const hop: Hop = { address: undefined, proto: undefined, host: undefined };
  for (const [, name, quoted, token] of element.matchAll(/([\w-]+)=(?:"((?:[^"\\]|\\.)*)"|([^;\s"]+))/g)) {
    const value = quoted === undefined ? token : quoted.replace(/\\(.)/g, "$1");
    if (/^for$/i.test(name!)) hop.address = readAddress(value);
    else if (/^proto$/i.test(name!)) hop.proto = readProto(value);
    else if (/^host$/i.test(name!)) hop.host = readHost(value);
  }
  return hop;
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
