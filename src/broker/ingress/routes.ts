import type { App } from "../model.ts";
import type { Spread } from "../registry/spread.ts";
import { RetryBudget } from "./retry_budget.ts";
import { type Route, routeOf, type RouteProblem } from "./route.ts";

/** Which app a request belongs to. Immutable: a change of the configuration makes another one. */
export interface RouteTable {
  /** Number of routes. */
  readonly size: number;
  /** External URLs that are not served, with reasons. */
  readonly problems: readonly RouteProblem[];
  /**
   * The route of a canonical host and path. A host of its own comes before a wildcard, which stands for exactly one
   * label; on a host the longest prefix wins, whole segments only. A URL with a port of its own (other than its
   * scheme's) only matches requests to that port, and before those without; a URL without one matches any port,
   * because load balancers and forwarded ports change it. The scheme does not choose, here as in the store, which
   * gives no two apps URLs that differ in nothing else.
   * Undefined when there is none, and when an encoded slash or backslash makes it unclear which app it is.
   */
  match(host: string, port: number | undefined, path: string): Route | undefined;
  /** How the exchanges of an app are spread, as of one of its routes; undefined where it has none. */
  spreadOf(appId: string): Spread | undefined;
  /** What may be sent again of an app's requests; undefined where it has no route. */
  retriesOf(appId: string): RetryBudget | undefined;
}

/** The routes of one host (and port), by prefix. */
interface HostRoutes {
  readonly byPrefix: Map<string, Route>;
  /** Segments of the longest prefix: no need to look deeper into a path. */
  depth: number;
}

/** Routes made for apps before, in the order of their external URLs: an app that has not changed keeps its own. */
export type MadeRoutes = WeakMap<App, readonly (Route | RouteProblem)[]>;

/**
 * Builds the table of all external URLs of enabled apps. Where two apps claim one URL the first (by id) has it. Takes
 * what is in `made`, and adds what is not; apps that have changed since `before` keep what may be sent again.
 */
export function buildRoutes(
  apps: Iterable<App>,
  made: MadeRoutes = new WeakMap(),
  before?: RouteTable,
): RouteTable {
  const hosts = new Map<string, HostRoutes>();
  const problems: RouteProblem[] = [];
  const byApp = new Map<string, Route>();
  let withPort = false;
  let size = 0;
  const enabled = [...apps].filter((app) => app.enabled).sort((a, b) => a.id < b.id ? -1 : 1);
  for (const app of enabled) {
    let routes = made.get(app);
    if (routes === undefined) {
      const retries = before?.retriesOf(app.id) ?? new RetryBudget();
      made.set(app, routes = app.externalUrls.map((url) => routeOf(app, url, retries)));
    }
    for (const [i, route] of routes.entries()) {
      if ("reason" in route) {
        problems.push(route);
        continue;
      }
      const holder = holderOf(hosts, route);
      if (holder.app.id !== app.id) {
        problems.push({ appId: app.id, url: app.externalUrls[i]!, reason: "another app has this URL" });
      } else if (holder === route) {
        size++;
        byApp.set(app.id, route);
        if (route.port !== undefined) withPort = true;
      }
    }
  }

  const find = (host: string, port: number | undefined, path: string): Route | undefined => {
    const wildcard = wildcardOf(host);
    if (!withPort || port === undefined) return onHost(hosts, host, path) ?? onHost(hosts, wildcard, path);
    return onHost(hosts, `${host}:${port}`, path) ?? onHost(hosts, host, path) ??
      onHost(hosts, `${wildcard}:${port}`, path) ?? onHost(hosts, wildcard, path);
  };
  return {
    size,
    problems,
    spreadOf: (appId) => byApp.get(appId)?.spread,
    retriesOf: (appId) => byApp.get(appId)?.retries,
    match(host, port, path) {
      const route = find(host, port, path);
      if (route === undefined || !path.includes("%") || !SEPARATOR.test(path)) return route;
      // A backend may read an encoded slash as a slash: then, too, it must be this app's.
      return find(host, port, path.replaceAll(SEPARATORS, "/").replace(/\/{2,}/g, "/")) === route
        ? route
        : undefined;
    },
  };
}

const SEPARATOR = /%2F|%5C/;
const SEPARATORS = /%2F|%5C/g;

/** The route that has the place of this one: itself, where it is the first. */
function holderOf(hosts: Map<string, HostRoutes>, route: Route): Route {
  const key = route.port === undefined ? route.host : `${route.host}:${route.port}`;
  const found = hosts.get(key) ?? { byPrefix: new Map<string, Route>(), depth: 0 };
  const holder = found.byPrefix.get(route.prefix);
  if (holder !== undefined) return holder;
  found.byPrefix.set(route.prefix, route);
  found.depth = Math.max(found.depth, route.prefix.split("/").length - 1);
  hosts.set(key, found);
  return route;
}

/** `*.example.com` for `a.example.com`; something no host has for a name of one label. */
function wildcardOf(host: string): string {
  const dot = host.indexOf(".");
  return dot === -1 ? "*" : `*${host.slice(dot)}`;
}

function onHost(hosts: Map<string, HostRoutes>, key: string, path: string): Route | undefined {
  const found = hosts.get(key);
  if (found === undefined) return undefined;
  let best = found.byPrefix.get("");
  let at = 0;
  for (let depth = 0; depth < found.depth && at < path.length; depth++) {
    const next = path.indexOf("/", at + 1);
    at = next === -1 ? path.length : next;
    best = found.byPrefix.get(at === path.length ? path : path.slice(0, at)) ?? best;
  }
  return best;
}
