import type { HeaderList } from "../../protocol/heads.ts";
import { canonicalPath } from "../canonical.ts";
import type { RequestFacts } from "./client_facts.ts";
import { canonicalHost, isBeneath } from "./response/url_map.ts";
import { backendTarget, type Route } from "./route.ts";

/** Headers of requests that hold a URL of the app as its users know it. */
const URL_HEADERS: ReadonlySet<string> = new Set(["origin", "referer", "destination"]);
const ABSOLUTE = /^(https?):\/\/([^/?#\\]+)(\/[^#]*)?$/i;

/**
 * Makes URLs of the app in Origin, Referer and Destination (RFC 4918) into those by which the backend knows itself, in
 * place: it may compare them with its Host. Those of others stay, so that a backend can still tell who asks.
 */
export function translateRequestUrls(headers: HeaderList, facts: RequestFacts, route: Route): void {
  for (let i = 0; i < headers.length; i += 2) {
    if (URL_HEADERS.has(headers[i]!.toLowerCase())) {
      headers[i + 1] = translated(headers[i + 1]!, facts, route);
    }
  }
}

function translated(value: string, { proto, host }: RequestFacts, route: Route): string {
  const parts = ABSOLUTE.exec(value);
  if (parts === null) return value;
  const [, scheme, authority, target] = parts as unknown as [string, string, string, string | undefined];
  const isOurs = scheme.toLowerCase() === proto &&
    canonicalHost(authority, `${proto}:`) === canonicalHost(host, `${proto}:`);
  if (!isOurs) return value;
  const origin = route.app.hostHeader === "user"
    ? `${new URL(route.internalOrigin).protocol}//${host}`
    : route.internalOrigin;
  if (target === undefined) return origin;
  const path = canonicalPath(target);
  if (path === undefined || !isBeneath(path, route.prefix)) return value;
  const inner = backendTarget(route, target, path);
  return inner === undefined ? value : origin + inner;
}
