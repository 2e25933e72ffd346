import ipaddr from "ipaddr.js";
import { AllowListError } from "./errors.ts";
import { isSpecialAddress, isSpecialNetwork, parseAddress } from "./special_address.ts";
import type { Address } from "./special_address.ts";

type Match =
  | { kind: "any" }
  | { kind: "name"; name: string }
  /** `.corp.example`: names that end so. */
  | { kind: "suffix"; suffix: string }
  | { kind: "network"; address: Address; bits: number };

/** `port` null: any. */
type Pattern = { match: Match; port: number | null };

const NAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/;
const NUMERIC = /^[0-9.]+$/;

/**
 * The connector's own last word on what it may connect to. Patterns are `host:port`; without a port, or with `*`,
 * any port. The host is a name, `*.corp.example` (names below it), an address, a network (`10.0.0.0/8`,
 * `[2001:db8::/32]`) or `*`. Names match the name that an app's origin gives, addresses and networks the resolved address.
 *
 * An empty list allows everything. Link-local, cloud-metadata, unspecified, multicast and broadcast addresses are
 * refused all the same, under any list, unless listed *as such*: by an address or network that lies inside the
 * refused range, or by an exact `name:port`. So neither `*`, `0.0.0.0/0` nor `*.corp.example` opens them.
 */
export class AllowList {
  readonly #patterns: readonly Pattern[];

  /** Throws `AllowListError` on the first pattern that cannot be read. */
  constructor(patterns: readonly string[]) {
    this.#patterns = patterns.map(parsePattern);
  }

  /** May a connection go to `address` and `port`, asked for as `host`? Call it with the very address to be dialled. */
  permits(host: string, port: number, address: string): boolean {
    const parsed = parseAddress(address);
    if (parsed === null) return false;
    const name = canonicalName(host);
    const special = isSpecialAddress(parsed);
    if (!special && this.#patterns.length === 0) return true;
    for (const pattern of this.#patterns) {
      if (pattern.port !== null && pattern.port !== port) continue;
      if (special && !namesSpecial(pattern)) continue;
      if (matches(pattern.match, name, parsed)) return true;
    }
    return false;
  }
}

/** Can this pattern open an address that is refused otherwise? */
function namesSpecial({ match, port }: Pattern): boolean {
  if (match.kind === "network") return isSpecialNetwork(match.address, match.bits);
  return match.kind === "name" && port !== null;
}

function matches(match: Match, name: string, address: Address): boolean {
  switch (match.kind) {
    case "any":
      return true;
    case "name":
      return match.name === name;
    case "suffix":
      return name.endsWith(match.suffix) && name.length > match.suffix.length;
    case "network":
      return match.address.kind() === address.kind() && address.match(match.address, match.bits);
  }
}

function canonicalName(host: string): string {
  const name = host.toLowerCase();
  return name.endsWith(".") ? name.slice(0, -1) : name;
}

function parsePattern(pattern: string): Pattern {
  const [host, port] = splitPort(pattern);
  return { match: parseHost(pattern, host), port: parsePort(pattern, port) };
}

/** Host without brackets, and the port's text or null. */
function splitPort(pattern: string): [string, string | null] {
  const bracketed = /^\[([^\]]*)\](\/[0-9]+)?(?::(.*))?$/.exec(pattern);
  if (bracketed !== null) return [`${bracketed[1]}${bracketed[2] ?? ""}`, bracketed[3] ?? null];
  const colon = pattern.indexOf(":");
  if (colon === -1 || colon !== pattern.lastIndexOf(":")) return [pattern, null];
  return [pattern.slice(0, colon), pattern.slice(colon + 1)];
}

function parsePort(pattern: string, text: string | null): number | null {
  if (text === null || text === "*") return null;
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw new AllowListError(pattern, "needs a port of 1 to 65535, or *");
  return port;
}

function parseHost(pattern: string, text: string): Match {
  if (text === "*") return { kind: "any" };
  if (text.includes("/") || text.includes(":") || NUMERIC.test(text)) {
    return parseNetwork(pattern, text.toLowerCase());
  }
  const host = canonicalName(text);
  if (host.startsWith("*.") && NAME.test(host.slice(2))) return { kind: "suffix", suffix: host.slice(1) };
  if (NAME.test(host)) return { kind: "name", name: host };
  throw new AllowListError(pattern, "needs a host name, *.name, address, network or *");
}

function parseNetwork(pattern: string, host: string): Match {
  const slash = host.indexOf("/");
  const text = slash === -1 ? host : host.slice(0, slash);
  const isV6 = text.includes(":");
  if (text.includes("%") || !(isV6 ? ipaddr.IPv6.isValid(text) : ipaddr.IPv4.isValidFourPartDecimal(text))) {
    throw new AllowListError(pattern, "has an address that is neither IPv4 nor IPv6");
  }
  const raw = ipaddr.parse(text);
  const size = isV6 ? 128 : 32;
  const prefix = slash === -1 ? `${size}` : host.slice(slash + 1);
  const bits = /^[0-9]{1,3}$/.test(prefix) ? Number(prefix) : -1;
  if (bits < 0 || bits > size) throw new AllowListError(pattern, `needs a prefix length of 0 to ${size}`);
  if (raw.kind() === "ipv6" && (raw as ipaddr.IPv6).isIPv4MappedAddress() && bits >= 96) {
    return { kind: "network", address: (raw as ipaddr.IPv6).toIPv4Address(), bits: bits - 96 };
  }
  return { kind: "network", address: raw, bits };
}
