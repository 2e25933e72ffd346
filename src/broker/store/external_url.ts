import { StoreError } from "./errors.ts";

const DEFAULT_PORTS: Readonly<Record<string, string>> = { "http:": "80", "https:": "443" };

/**
 * What makes two external URLs the same: scheme, host (lower case, IDN as Punycode, no final dot), port and path
 * prefix (no final slash, escapes in one spelling). Throws `value_invalid` for what is no such URL.
 */
export function externalUrlKey(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  const defaultPort = url === null ? undefined : DEFAULT_PORTS[url.protocol];
  if (
    url === null || defaultPort === undefined || url.username + url.password + url.search + url.hash !== ""
  ) {
    throw new StoreError("value_invalid", `Cannot publish at "${text}": it is no plain http or https URL`);
  }
  const host = url.hostname.replace(/\.$/, "");
  const path = url.pathname.replace(/%[0-9a-f]{2}/gi, canonicalEscape).replace(/\/+$/, "");
  return `${url.protocol}//${host}:${url.port || defaultPort}${path}/`;
}

/** RFC 3986 section 6.2.2: unreserved characters are never escaped, hexadecimal digits are upper case. */
function canonicalEscape(escape: string): string {
  const character = String.fromCharCode(parseInt(escape.slice(1), 16));
  return /[A-Za-z0-9._~-]/.test(character) ? character : escape.toUpperCase();
}
