/** Where to listen or dial: a name, IPv4 or IPv6 address (without brackets), and a TCP port; 0 is any free port. */
export interface ListenAddress {
  host: string;
  port: number;
}

/** Reads `host:port` or `[ipv6]:port`, port 0 included; null when the text is neither. */
export function parseListenAddress(text: string): ListenAddress | null {
  const match = /^(?:\[([0-9a-fA-F:.]+(?:%\w+)?)\]|([^\s:[\]/@]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  if (match === null || host === undefined) return null;
  const port = Number(match[3]);
  return port <= 65_535 ? { host, port } : null;
}

/** Why it cannot be listened on an address, and what to do about it, in words. */
export function listenFailure(error: unknown): string {
  const { code, message = String(error) } = error as { code?: string; message?: string };
  return REASONS.get(code) ?? message;
}

const REASONS: ReadonlyMap<string | undefined, string> = new Map([
  ["EADDRINUSE", "another program listens there (EADDRINUSE)"],
  ["EACCES", "ports below 1024 take root or the capability CAP_NET_BIND_SERVICE (EACCES)"],
  ["EADDRNOTAVAIL", "this host has no such address (EADDRNOTAVAIL)"],
  ["ENOTFOUND", "no address is known by this name (ENOTFOUND)"],
]);
