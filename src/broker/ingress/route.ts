import type { HeaderChange } from "../app_traffic.ts";
import type { App } from "../model.ts";
import { type Spread, spreadOf } from "../registry/spread.ts";
import { type AppLimits, limitsOf } from "./app_limits.ts";
import { canonicalSegment } from "../canonical.ts";
import { type ExternalPlace, externalPlace } from "../external_place.ts";
import { changesOf } from "./response/header_changes.ts";
import { type ResponseRules, responseRulesOf } from "./response/response_rules.ts";
import { RetryBudget } from "./retry_budget.ts";

/** One external URL of an app: what leads to it, and where it leads. */
export interface Route extends ExternalPlace {
  readonly app: App;
  /** How its exchanges are spread over tunnels. */
  readonly spread: Spread;
  /** Configuration revision that a connector must have at least, to know this app as it is now. */
  readonly revision: number;
  /** Origin of the backend, e.g. `http://10.0.0.5:8080`. */
  readonly internalOrigin: string;
  /** `Host` for the backend when the app wants the backend's own, e.g. `10.0.0.5:8080`. */
  readonly internalHost: string;
  /** Path of the internal URL as it was written; `/` when it has none. */
  readonly internalPath: string;
  /** What may be sent again: an app whose backend fails uses up nobody else's. */
  readonly retries: RetryBudget;
  /** What bounds its exchanges; null where nothing does. */
  readonly limits: AppLimits | null;
  /** Changes of the request's headers; null where there are none. */
  readonly requestChanges: readonly HeaderChange[] | null;
  /** What is done to responses; null where nothing is. */
  readonly response: ResponseRules | null;
}

/** Why an external URL cannot be served. */
export interface RouteProblem {
  readonly appId: string;
  readonly url: string;
  readonly reason: string;
}

/** Makes the route of one external URL of an app, or says why it cannot be one. */
export function routeOf(
  app: App,
  externalUrl: string,
  retries: RetryBudget = new RetryBudget(),
): Route | RouteProblem {
  const problem = (reason: string): RouteProblem => ({ appId: app.id, url: externalUrl, reason });
  const place = externalPlace(externalUrl);
  if ("fault" in place) return problem(place.fault);
  const internal = URL.parse(app.internalUrl);
  if (internal === null || !isHttp(internal)) return problem("the internal URL is not an http or https URL");
  const { host, port, prefix } = place;
  const { origin, pathname } = internal;
  return {
    app,
    spread: spreadOf(app),
    retries,
    revision: app.revision,
    host,
    port,
    prefix,
    internalOrigin: origin,
    internalHost: internal.host,
    internalPath: pathname,
    limits: limitsOf(app),
    requestChanges: changesOf(app.requestHeaders),
    response: responseRulesOf(app, { internalOrigin: origin, internalPath: pathname, prefix }),
  };
}

function isHttp(url: URL): boolean {
  return url.protocol === "http:" || url.protocol === "https:";
}

/**
 * The target for the backend: the external prefix replaced by the internal path, the rest byte for byte. `path` is
 * `canonicalPath(target)`. Undefined where the raw target climbs out of the prefix on its way (`/app/../app/x`):
 * the backend would resolve that within the internal path, which may be deeper. Answer 400 then.
 *
 * The slash at the joint is the user's: internal `/wiki` makes `/app` into `/wiki` and `/app/` into `/wiki/`; with
 * internal `/wiki/` both are `/wiki/`. It is never doubled.
 */
export function backendTarget(route: Route, target: string, path: string): string | undefined {
  const { prefix, internalPath } = route;
  if (prefix === "" && internalPath === "/") return target;
  if (target === "*") return target;
  const literal = target.startsWith(path) &&
    (target.length === path.length || target.charCodeAt(path.length) === 0x3f);
  const from = literal ? prefix.length : prefixEnd(target, prefix);
  return from === undefined ? undefined : join(internalPath, target, from);
}

function join(internalPath: string, target: string, from: number): string {
  if (target.charCodeAt(from) !== 0x2f) return internalPath + target.slice(from);
  const base = internalPath.endsWith("/") ? internalPath.slice(0, -1) : internalPath;
  return base + target.slice(from);
}

/**
 * Where the prefix ends in a raw target that is spelled otherwise than its canonical path. The prefix must stand
 * there segment by segment, whatever its escapes; after it, `..` must not lead back into it.
 */
function prefixEnd(target: string, prefix: string): number | undefined {
  const query = target.indexOf("?");
  const end = query === -1 ? target.length : query;
  const wanted = prefix === "" ? [] : prefix.slice(1).split("/");
  let at = 0;
  for (let matched = 0; matched < wanted.length;) {
    const next = segmentEnd(target, at, end);
    const segment = canonicalSegment(target.slice(at + 1, next));
    // Empty segments before and within the prefix go with it.
    if (segment !== "" && segment !== wanted[matched++]) return undefined;
    at = next;
    if (at >= end && matched < wanted.length) return undefined;
  }
  const from = at;
  for (let depth = 0; at < end;) {
    const next = segmentEnd(target, at, end);
    const segment = canonicalSegment(target.slice(at + 1, next));
    if (segment === "..") depth--;
    else if (segment !== "" && segment !== ".") depth++;
    if (depth < 0) return undefined;
    at = next;
  }
  return from;
}

function segmentEnd(target: string, at: number, end: number): number {
  const next = target.indexOf("/", at + 1);
  return next === -1 || next > end ? end : next;
}
