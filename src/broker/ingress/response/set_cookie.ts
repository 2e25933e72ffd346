import type { CookiePolicy } from "../../app_traffic.ts";
import type { UrlMap, UserOrigin } from "./url_map.ts";

/** What is made of cookies; null where a part of it is off. */
export interface CookieRules {
  readonly map: UrlMap | null;
  readonly policy: CookiePolicy | null;
}

const SAME_SITE = { lax: "Lax", strict: "Strict", none: "None" } as const;

/** Compiles a policy: null where it changes nothing. */
export function cookiePolicyOf(policy: CookiePolicy): CookiePolicy | null {
  return policy.secure || policy.httpOnly || policy.sameSite !== "keep" ? policy : null;
}

/**
 * A `Set-Cookie` for the user: `Domain` of the backend taken away (the cookie is then the external host's alone), `Path`
 * translated, attributes of the policy enforced. All else is kept byte for byte, the value above all.
 */
export function translateSetCookie(value: string, { map, policy }: CookieRules, user: UserOrigin): string {
  const parts = value.split(";");
  // Browsers take cookies of this name only with `Path=/` (RFC 6265bis section 4.1.3.2).
  const fixedPath = /^\s*__host-/i.test(parts[0]!);
  const kept = [parts[0]!];
  let secure = false;
  let httpOnly = false;
  for (let i = 1; i < parts.length; i++) {
    const part = parts[i]!;
    const equals = part.indexOf("=");
    const name = (equals === -1 ? part : part.slice(0, equals)).trim().toLowerCase();
    const text = equals === -1 ? "" : part.slice(equals + 1).trim();
    if (name === "secure") secure = true;
    else if (name === "httponly") httpOnly = true;
    else if (name === "samesite" && policy !== null && policy.sameSite !== "keep") continue;
    else if (name === "domain" && map !== null && isBackendDomain(text, map, user)) continue;
    else if (name === "path" && map !== null && !fixedPath) {
      kept.push(translatePath(part, equals, text, map));
      continue;
    }
    kept.push(part);
  }
  if (policy !== null) {
    const { sameSite } = policy;
    if (policy.httpOnly && !httpOnly) kept.push(" HttpOnly");
    if (sameSite !== "keep") kept.push(` SameSite=${SAME_SITE[sameSite]}`);
    // Without `Secure` browsers refuse `SameSite=None`; over plain HTTP they refuse `Secure`.
    const wanted = policy.secure || sameSite === "none";
    if (wanted && !secure && user.proto === "https") kept.push(" Secure");
  }
  return kept.join(";");
}

function translatePath(part: string, equals: number, text: string, map: UrlMap): string {
  if (!map.movesPaths || text.charCodeAt(0) !== 0x2f) return part;
  let path = map.path(text);
  // A path above the app's covers all of the app; `/` does so outside, too.
  if (path === undefined && text !== "/" && isAbove(text, map.internalPrefix)) path = map.externalPrefix;
  if (path === undefined) return part;
  // A cookie of `/app/` would not be sent to `/app`.
  if (path === `${map.externalPrefix}/`) path = map.externalPrefix;
  return part.slice(0, equals + 1) + (path === "" ? "/" : path);
}

function isAbove(path: string, prefix: string): boolean {
  return prefix.startsWith(path.endsWith("/") ? path : `${path}/`);
}

/** The domain is the backend's, or above it, and not one that the user's host is in. */
function isBackendDomain(text: string, map: UrlMap, user: UserOrigin): boolean {
  const domain = (text.startsWith(".") ? text.slice(1) : text).toLowerCase();
  return isWithin(map.internalName, domain) && !isWithin(nameOf(user.host), domain);
}

function nameOf(host: string): string {
  const colon = host.charCodeAt(0) === 0x5b ? host.indexOf(":", host.indexOf("]")) : host.indexOf(":");
  const name = (colon === -1 ? host : host.slice(0, colon)).toLowerCase();
  return name.endsWith(".") ? name.slice(0, -1) : name;
}

function isWithin(name: string, domain: string): boolean {
  return name === domain || (domain !== "" && name.endsWith(`.${domain}`));
}
