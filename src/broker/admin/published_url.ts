import { isIP } from "node:net";
import { isDnsName } from "../../protocol/address.ts";

/** A URL in its canonical form, or why it cannot be one. */
export type UrlCheck = { url: string } | { fault: string };

/** Where users find an app: `http` or `https`, the host may begin with `*.`, the path is a prefix. */
export function checkExternalUrl(text: string): UrlCheck {
  return check(text, (url) => {
    const name = url.hostname.startsWith("*.") ? url.hostname.slice(2) : url.hostname;
    if (name !== url.hostname && isIP(name) !== 0) return "a wildcard needs a DNS name after it";
    if (!isHost(name)) {
      return `its host "${url.hostname}" is not a DNS name, an IP address or "*." and a DNS name`;
    }
    // Such a prefix would be read differently by different programs, so what it protects is not clear.
    if (/%(2e|2f|5c|00)/i.test(url.pathname)) {
      return "its path has an encoded dot, slash, backslash or zero byte";
    }
    if (url.pathname.length > 1) url.pathname = url.pathname.replace(/\/+$/, "") || "/";
    return null;
  });
}

/** Where the backend is: `http` or `https`, a host and a path. */
export function checkInternalUrl(text: string): UrlCheck {
  return check(
    text,
    (url) => isHost(url.hostname) ? null : `its host "${url.hostname}" is not a DNS name or IP address`,
  );
}

function check(text: string, more: (url: URL) => string | null): UrlCheck {
  if (text.length > 2_000) return { fault: "it is longer than 2000 characters" };
  // The parser repairs a lot; what it would have to repair is refused instead.
  const parts = /^(https?):\/\/([^/]+)(\/.*)?$/i.exec(text);
  if (parts === null || /[\s\\]/.test(text)) return { fault: "it is not an absolute http or https URL" };
  if (text.includes("?") || text.includes("#")) return { fault: "a query or fragment does not belong here" };
  if (parts[2]!.includes("@")) return { fault: "credentials do not belong here" };
  if (/(^|\/)(\.|%2e){1,2}(\/|$)/i.test(parts[3] ?? "")) {
    return { fault: 'its path has "." or ".." segments' };
  }
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null) return { fault: "it is not an absolute http or https URL" };
  if (url.port === "0") return { fault: "port 0 is not a port to dial" };
  const fault = more(url);
  return fault === null ? { url: url.href } : { fault };
}

function isHost(hostname: string): boolean {
  return isIP(hostname.replace(/^\[(.*)\]$/, "$1")) !== 0 || isDnsName(hostname);
}
