import { BlockList, isIP, isIPv4, isIPv6 } from "node:net";
import { ListenerError } from "./errors.ts";

/** Where a peer is: `address` is empty when it cannot be told any more (the socket is gone). */
export interface PeerAddress {
  readonly address: string;
  readonly port: number;
}

/** What of a socket says who its peer is: `net.Socket`, `tls.TLSSocket` and the socket of an HTTP/2 session all do. */
export interface AddressedSocket {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
}

/** The one way we write an IP address: IPv4-mapped IPv6 as IPv4, no zone (`fe80::1%eth0`), lower case. */
export function normalizeAddress(address: string): string {
  if (!address.includes(":")) return address;
  const zone = address.indexOf("%");
  const bare = (zone === -1 ? address : address.slice(0, zone)).toLowerCase();
  if (bare.startsWith("::ffff:")) {
    const mapped = bare.slice(7);
    if (isIPv4(mapped)) return mapped;
    // `::ffff:c000:201` is the other way to write `::ffff:192.0.2.1`.
    const words = /^([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(mapped);
    if (words !== null) {
      const high = parseInt(words[1]!, 16);
      const low = parseInt(words[2]!, 16);
      return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
    }
  }
  return bare;
}

/** What of an address one party has to itself: all of IPv4, the first half of IPv6, of which each has at least a /64 (RFC 6177). */
export function networkOf(address: string): string {
  if (!address.includes(":")) return address;
  const [front = "", back] = address.split("::");
  const words = front === "" ? [] : front.split(":");
  if (back !== undefined) {
    const last = back === "" ? [] : back.split(":");
    while (words.length + last.length < 8) words.push("0");
    words.push(...last);
  }
  return words.slice(0, 4).join(":");
}

/** A set of IP networks. */
export interface CidrList {
  /** True when no network was given. */
  readonly empty: boolean;
  /** Whether an address lies in one of the networks; false for anything that is not an IP address. */
  contains(address: string): boolean;
}

/**
 * Reads networks such as `10.0.0.0/8`, `2001:db8::/32` or a single address.
 * Throws `ListenerError` `cidr_invalid` for anything else.
 */
export function parseCidrList(networks: readonly string[]): CidrList {
  const list = new BlockList();
  for (const network of networks) addNetwork(list, network.trim());
  return {
    empty: networks.length === 0,
    contains(address) {
      const normal = normalizeAddress(address);
      const family = isIP(normal);
      return family !== 0 && list.check(normal, family === 4 ? "ipv4" : "ipv6");
    },
  };
}

function addNetwork(list: BlockList, network: string): void {
  const slash = network.indexOf("/");
  const address = slash === -1 ? network : network.slice(0, slash);
  const family = isIPv4(address) ? "ipv4" : isIPv6(address) && !address.includes("%") ? "ipv6" : undefined;
  const longest = family === "ipv4" ? 32 : 128;
  const digits = slash === -1 ? String(longest) : network.slice(slash + 1);
  const prefix = /^\d{1,3}$/.test(digits) ? Number(digits) : Infinity;
  if (family === undefined || prefix > longest) {
    throw new ListenerError("cidr_invalid", `Cannot read network "${network}": not an address or CIDR`, {
      details: { network },
    });
  }
  const normal = normalizeAddress(address);
  if (family === "ipv6" && isIPv4(normal)) {
    if (prefix < 96) {
      throw new ListenerError("cidr_invalid", `Cannot read network "${network}": wider than IPv4-mapped`, {
        details: { network },
      });
    }
    list.addSubnet(normal, prefix - 96, "ipv4");
  } else list.addSubnet(address, prefix, family);
}
