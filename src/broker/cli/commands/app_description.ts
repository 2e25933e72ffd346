import type { AppAnswer } from "../../admin/schemas/app.ts";
import { type Cell, facts, when } from "../table.ts";

/** An app for people: what it is, and those settings that are not as they are without being said. */
export function describeApp(app: AppAnswer, groups: ReadonlyMap<string, string>): string {
  const { timeouts, backendTls } = app;
  return facts([
    ["id", app.id],
    ["name", app.name],
    ["group", groups.get(app.groupId) ?? app.groupId],
    ...app.externalUrls.map((url) => ["external URL", url] as const),
    ["internal URL", app.internalUrl],
    ["enabled", app.enabled],
    [
      "maintenance",
      app.maintenance === null
        ? "no"
        : `retry after ${app.maintenance.retryAfterS} s: ${app.maintenance.message}`,
    ],
    ["Host sent", app.hostHeader],
    ["connect timeout", limit(timeouts.connectMs, "ms")],
    ["response timeout", limit(timeouts.responseHeadMs, "ms")],
    ["idle timeout", limit(timeouts.idleMs, "ms")],
    ["total timeout", limit(timeouts.totalMs, "ms")],
    ["WebSocket idle timeout", limit(timeouts.upgradedIdleMs, "ms")],
    ["TLS validation", backendTls.validate],
    ["TLS CA", backendTls.ca === undefined ? "the system's" : "its own"],
    ["TLS name", backendTls.serverName],
    ["TLS least version", backendTls.minVersion],
    ["TLS client certificate", backendTls.clientCertificate],
    ["protocol", app.backendProtocol],
    ["largest request", limit(app.maxRequestBytes, "bytes")],
    ["requests at a time", limit(app.maxConcurrent, `and ${app.maxQueued} waiting`)],
    ...headers("request header", app.requestHeaders),
    ...headers("response header", app.responseHeaders),
    ["compression", app.compression],
    ["headers translated", app.translateHeaders],
    ["request headers translated", app.translateRequestHeaders],
    ["links translated", app.translateLinks],
    ["cookies", cookies(app)],
    ["Forwarded sent", app.forwardedHeader],
    ["balancing", app.balancing],
    ["affinity", app.affinity],
    ["health check", healthCheck(app)],
    ["changed", when(app.updatedAt)],
  ]);
}

const limit = (value: number, unit: string): string => value === 0 ? "no limit" : `${value} ${unit}`;

const headers = (name: string, changes: AppAnswer["requestHeaders"]): (readonly [string, Cell])[] =>
  changes.map((
    c,
  ) => [name, c.value === undefined ? `${c.action} ${c.name}` : `${c.action} ${c.name}: ${c.value}`]);

function cookies({ cookies: { secure, httpOnly, sameSite } }: AppAnswer): string {
  const made = [
    secure ? "Secure" : "",
    httpOnly ? "HttpOnly" : "",
    sameSite === "keep" ? "" : `SameSite=${sameSite}`,
  ];
  return made.filter((text) => text !== "").join(", ") || "as the backend sets them";
}

function healthCheck({ healthCheck: check }: AppAnswer): string {
  if (check === null) return "none";
  const what = check.type === "tcp" ? "tcp" : `GET ${check.path}`;
  return `${what} every ${check.intervalMs} ms, at most ${check.timeoutMs} ms, ` +
    `healthy after ${check.healthyAfter}, unhealthy after ${check.unhealthyAfter}`;
}
