import { DEFAULT_BACKEND_TLS, DEFAULT_TIMEOUTS } from "../../protocol/app.ts";
import { type AppTraffic, DEFAULT_TRAFFIC } from "../app_traffic.ts";
import type { App, AppSettings } from "../model.ts";
import { nameKey, toRecord } from "./record.ts";
import type { AppTable } from "./schema.ts";

/** The columns that an administrator's settings fill. */
export type AppColumns = Omit<AppTable, "id" | "version" | "created_at" | "updated_at" | "revision">;

/** Writes settings as columns; the same settings give the same columns. */
export function toAppColumns(settings: AppSettings): AppColumns {
  const { connectMs, responseHeadMs, idleMs, totalMs, upgradedIdleMs } = settings.timeouts;
  const { validate, ca, serverName, minVersion, clientCertificate } = settings.backendTls;
  return {
    name: settings.name,
    name_key: nameKey(settings.name),
    group_id: settings.groupId,
    external_urls: JSON.stringify(settings.externalUrls),
    internal_url: settings.internalUrl,
    enabled: Number(settings.enabled),
    host_header: settings.hostHeader,
    timeouts: JSON.stringify({ connectMs, responseHeadMs, idleMs, totalMs, upgradedIdleMs }),
    backend_tls: JSON.stringify({ validate, ca, serverName, minVersion, clientCertificate }),
    traffic: JSON.stringify(trafficOf(settings)),
  };
}

/** Reads an app; what an older program did not write has its default. */
export function toApp(row: AppTable): App {
  return {
    ...toRecord(row),
    ...DEFAULT_TRAFFIC,
    ...JSON.parse(row.traffic),
    name: row.name,
    groupId: row.group_id,
    externalUrls: JSON.parse(row.external_urls),
    internalUrl: row.internal_url,
    enabled: row.enabled === 1,
    hostHeader: row.host_header as App["hostHeader"],
    timeouts: { ...DEFAULT_TIMEOUTS, ...JSON.parse(row.timeouts) },
    backendTls: { ...DEFAULT_BACKEND_TLS, ...JSON.parse(row.backend_tls) },
    revision: row.revision,
  };
}

const TRAFFIC_FIELDS = Object.keys(DEFAULT_TRAFFIC) as (keyof AppTraffic)[];
const FIELDS: readonly (keyof AppSettings)[] = [
  "name",
  "groupId",
  "externalUrls",
  "internalUrl",
  "enabled",
  "hostHeader",
  "timeouts",
  "backendTls",
  ...TRAFFIC_FIELDS,
];

/** The settings that differ, as the audit entry shows them: no certificate texts, no passwords in URLs, no header values. */
export function changedSettings(before: AppTable | null, after: AppSettings): Record<string, unknown> {
  const now = readable(after);
  const then = before === null ? null : readable(toApp(before));
  const changed = FIELDS.filter((field) =>
    then === null
      ? JSON.stringify(now[field]) !== JSON.stringify(DEFAULT_TRAFFIC[field as keyof AppTraffic])
      : JSON.stringify(then[field]) !== JSON.stringify(now[field])
  );
  const masked = mask(after);
  return Object.fromEntries(changed.map((field) => [field, masked[field]]));
}

/** Settings in the one way that the store writes them, so that equal ones are equal as text. */
function readable(settings: AppSettings): AppSettings {
  const row = { ...toAppColumns(settings), id: "", version: 0, created_at: 0, updated_at: 0, revision: 0 };
  return toApp(row);
}

function mask(settings: AppSettings): AppSettings {
  const { ca } = settings.backendTls;
  const nameOnly = ({ action, name }: AppSettings["requestHeaders"][number]) => ({ action, name });
  return {
    ...settings,
    internalUrl: settings.internalUrl.replace(/^([^/]*\/\/)[^/@]*@/, "$1***@"),
    backendTls: ca === undefined
      ? settings.backendTls
      : { ...settings.backendTls, ca: `${ca.length} characters` },
    // A header towards the backend may be its password.
    requestHeaders: settings.requestHeaders.map(nameOnly),
    responseHeaders: settings.responseHeaders.map(nameOnly),
  };
}

/** The fields of `AppTraffic`, in one order at every depth. */
function trafficOf(settings: AppTraffic): AppTraffic {
  const { maintenance, cookies, healthCheck } = settings;
  const inOrder = ({ action, name, value }: AppTraffic["requestHeaders"][number]) => ({
    action,
    name,
    value,
  });
  return {
    ...Object.fromEntries(TRAFFIC_FIELDS.map((field) => [field, settings[field]])) as unknown as AppTraffic,
    requestHeaders: settings.requestHeaders.map(inOrder) as AppTraffic["requestHeaders"],
    responseHeaders: settings.responseHeaders.map(inOrder) as AppTraffic["responseHeaders"],
    maintenance: maintenance && { message: maintenance.message, retryAfterS: maintenance.retryAfterS },
    cookies: { secure: cookies.secure, httpOnly: cookies.httpOnly, sameSite: cookies.sameSite },
    healthCheck: healthCheck && {
      type: healthCheck.type,
      path: healthCheck.path,
      intervalMs: healthCheck.intervalMs,
      timeoutMs: healthCheck.timeoutMs,
      healthyAfter: healthCheck.healthyAfter,
      unhealthyAfter: healthCheck.unhealthyAfter,
    },
  };
}
