/** Where to dial: a host name or IP address and a TCP port. IPv6 addresses stand without brackets in `host`. */
export interface HostPort {
  host: string;
  port: number;
}

const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/i;
const IPV6 = /^[0-9a-f:.]{2,45}$/;

/** True for a DNS name of one or more labels, no trailing dot, at most 253 characters. */
export function isDnsName(value: unknown): value is string {
  return typeof value === "string" && value.length <= 253 &&
    value.split(".").every((label) => LABEL.test(label));
}

/** Reads `host:port` or `[ipv6]:port`; null when it is neither. The host comes back in lower case. */
export function parseHostPort(value: unknown): HostPort | null {
  if (typeof value !== "string" || value.length > 260) return null;
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):([0-9]{1,5})$/.exec(value.toLowerCase());
  if (match === null) return null;
  const [, ipv6, name, digits] = match;
  const port = Number(digits);
  if (port < 1 || port > 65_535) return null;
  if (ipv6 !== undefined) return IPV6.test(ipv6) && ipv6.includes(":") ? { host: ipv6, port } : null;
  return isDnsName(name) ? { host: name, port } : null;
}

/** The inverse of {@linkcode parseHostPort}. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
