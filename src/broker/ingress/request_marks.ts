import { createHash } from "node:crypto";
import type { HeaderList } from "../../protocol/heads.ts";
import type { RequestFacts } from "./client_facts.ts";
import { translateRequestUrls } from "./request_translation.ts";
import { applyChanges } from "./response/header_changes.ts";
import type { Route } from "./route.ts";

/** What a broker calls itself in `Via` (RFC 9110 section 7.6.3), with each version of HTTP in which it may be asked. */
export interface ViaNames {
  /** The same for all brokers of one installation, and nobody else's. */
  readonly pseudonym: string;
  readonly http10: string;
  readonly http11: string;
  readonly http2: string;
}

/** The names of an installation; `secretOfNobody` is anything that tells it from all others, such as its CA's fingerprint. */
export function viaNames(secretOfNobody: string): ViaNames {
  const id = createHash("sha256").update(`via ${secretOfNobody}`).digest("hex").slice(0, 16);
  const pseudonym = `sallyport-${id}`;
  return {
    pseudonym,
    http10: `1.0 ${pseudonym}`,
    http11: `1.1 ${pseudonym}`,
    http2: `2 ${pseudonym}`,
  };
}

/** True where the request has been here before: the backend leads back to this installation. */
export function hasLooped(raw: readonly string[], { pseudonym }: ViaNames): boolean {
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!;
    if (name.length === 3 && name.toLowerCase() === "via" && raw[i + 1]!.includes(pseudonym)) return true;
  }
  return false;
}

/** Says which way the request came, then makes the changes that the app's settings want. */
export function markRequest(headers: HeaderList, facts: RequestFacts, route: Route, via: string): void {
  headers.push("Via", via);
  if (route.app.forwardedHeader) headers.push("Forwarded", forwardedOf(facts));
  if (route.app.translateRequestHeaders) translateRequestUrls(headers, facts, route);
  if (route.requestChanges !== null) applyChanges(headers, route.requestChanges);
}

/** `Forwarded` (RFC 7239): an element for the user, then one for each trusted proxy between. */
function forwardedOf({ forwardedFor, host, proto }: RequestFacts): string {
  const comma = forwardedFor.indexOf(",");
  const user = comma === -1 ? forwardedFor : forwardedFor.slice(0, comma);
  let text = `for=${nodeOf(user)};host="${host}";proto=${proto}`;
  if (comma === -1) return text;
  for (const proxy of forwardedFor.slice(comma + 1).split(",")) text += `, for=${nodeOf(proxy.trim())}`;
  return text;
}

function nodeOf(address: string): string {
  if (address === "") return "unknown";
  return address.includes(":") ? `"[${address}]"` : address;
}
