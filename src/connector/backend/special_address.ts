import ipaddr from "ipaddr.js";

/** A parsed IP address; IPv4-mapped IPv6 addresses are IPv4 here. */
export type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** Ranges that no backend lives in, and that give an attacker secrets of the host or the cloud account it runs in. */
const SPECIAL: readonly [Address, number][] = [
  "0.0.0.0/8", // unspecified: "this host"
  "169.254.0.0/16", // link-local, with 169.254.169.254, the metadata service of most clouds
  "100.100.100.200/32", // metadata, Alibaba Cloud
  "168.63.129.16/32", // platform service, Azure
  "192.0.0.192/32", // metadata, Oracle Cloud
  "224.0.0.0/4", // multicast
  "240.0.0.0/4", // reserved, with 255.255.255.255, broadcast
  "::/128", // unspecified
  "fe80::/10", // link-local
  "ff00::/8", // multicast
  "fd00:ec2::/32", // metadata and other services of the hypervisor, AWS
  "fd20:ce::254/128", // metadata, Google Cloud
].map((range) => ipaddr.parseCIDR(range));

/** Prefixes whose addresses carry an IPv4 address, and the byte at which it stands. */
const EMBEDDING: readonly [Address, number, number][] = [
  [ipaddr.parse("64:ff9b::"), 96, 12], // NAT64
  [ipaddr.parse("2002::"), 16, 2], // 6to4
];

/** Reads an address as resolvers and sockets print it (a zone such as `%eth0` is ignored); null when it is none. */
export function parseAddress(text: string): Address | null {
  const zone = text.indexOf("%");
  const bare = zone === -1 ? text : text.slice(0, zone);
  if (bare.includes(":") ? !ipaddr.IPv6.isValid(bare) : !ipaddr.IPv4.isValidFourPartDecimal(bare)) {
    return null;
  }
  return ipaddr.process(bare);
}

/** Is this an address that is refused unless listed as such? */
export function isSpecialAddress(address: Address): boolean {
  return isSpecialNetwork(address, address.kind() === "ipv4" ? 32 : 128);
}

/** Does this whole network lie inside one of the refused ranges? */
export function isSpecialNetwork(address: Address, bits: number): boolean {
  return within(address, bits) || withinEmbedded(address, bits);
}

function within(address: Address, bits: number): boolean {
  for (const [base, width] of SPECIAL) {
    if (base.kind() === address.kind() && bits >= width && address.match(base, width)) return true;
  }
  return false;
}

function withinEmbedded(address: Address, bits: number): boolean {
  if (address.kind() !== "ipv6") return false;
  for (const [base, width, at] of EMBEDDING) {
    if (bits < width || !address.match(base, width)) continue;
    const inner = ipaddr.fromByteArray(address.toByteArray().slice(at, at + 4));
    return within(inner, Math.min(32, bits - width));
  }
  return false;
}
