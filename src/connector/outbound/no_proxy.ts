import { BlockList, isIP } from "node:net";
import type { HostPort } from "../../protocol/address.ts";

/**
 * Does `NO_PROXY` name this address? Its items, separated by commas or spaces, are names (with all names below them,
 * with or without a leading `.` or `*.`), addresses and networks in CIDR notation, each with an optional `:port`; `*` is all.
 */
export function isExempt(noProxy: string, { host, port }: HostPort): boolean {
  return noProxy.split(/[\s,]+/).some((item) => item !== "" && matches(item.toLowerCase(), host, port));
}

function matches(item: string, host: string, port: number): boolean {
  if (item === "*") return true;
  const [pattern, ofPort] = splitPort(item);
  if (ofPort !== null && ofPort !== port) return false;
  const family = isIP(host);
  if (pattern.includes("/")) return family !== 0 && isWithin(pattern, host, family);
  if (isIP(pattern) !== 0) return pattern === host;
  const name = pattern.replace(/^\*?\./, "");
  return family === 0 && name !== "" && (host === name || host.endsWith(`.${name}`));
}

function splitPort(item: string): [pattern: string, port: number | null] {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::([0-9]{1,5}))?$/.exec(item);
  if (match === null) return [item, null]; // An IPv6 address or network without brackets.
  return [match[1] ?? match[2] ?? "", match[3] === undefined ? null : Number(match[3])];
}

function isWithin(network: string, host: string, family: number): boolean {
  const [base = "", prefix = ""] = network.split("/");
  const bits = /^[0-9]{1,3}$/.test(prefix) ? Number(prefix) : -1;
  if (isIP(base) !== family || bits < 0 || bits > (family === 6 ? 128 : 32)) return false;
  const type = family === 6 ? "ipv6" : "ipv4";
  const list = new BlockList();
  list.addSubnet(base, bits, type);
  return list.check(host, type);
}
