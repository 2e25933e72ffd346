import { BlockList, isIPv4, isIPv6 } from "node:net";
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

/** The one way we write an IP address: IPv4-mapped IPv6 as IPv4, no zone (`fe80::1%eth0`), lower case, as short as it gets. */
export function normalizeAddress(address: string): string {
  if (!address.includes(":")) return address;
  const zone = address.indexOf("%");
  const text = zone === -1 ? address : address.slice(0, zone);
  if (!isIPv6(text)) return text.toLowerCase();
  // The URL parser writes IPv6 in its canonical, compressed form (RFC 5952); a mapped address has two words there.
  const bare = new URL(`http://[${text}]`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(bare);
  if (mapped !== null) {
    const high = parseInt(mapped[1]!, 16);
    const low = parseInt(mapped[2]!, 16);
    return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
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
  // One each: a list of both takes `::/64` for a network of all IPv4 addresses, which are mapped into it.
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() };
  for (const network of networks) addNetwork(lists, network.trim());
  return {
    empty: networks.length === 0,
    contains(address) {
      const normal = normalizeAddress(address);
      if (isIPv4(normal)) return lists.ipv4.check(normal, "ipv4");
      return isIPv6(normal) && lists.ipv6.check(normal, "ipv6");
    },
  };
}

function addNetwork(lists: Record<"ipv4" | "ipv6", BlockList>, network: string): void {
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
    lists.ipv4.addSubnet(normal, prefix - 96, "ipv4");
  } else lists[family].addSubnet(address, prefix, family);
}
