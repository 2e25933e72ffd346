import type { App, AppSettings } from "../model.ts";
import { nameKey, toRecord } from "./record.ts";
import type { AppTable } from "./schema.ts";

/** The columns that an administrator's settings fill. */
export type AppColumns = Omit<AppTable, "id" | "version" | "created_at" | "updated_at" | "revision">;

/** Writes settings as columns; the same settings give the same columns. */
export function toAppColumns(settings: AppSettings): AppColumns {
  const { connectMs, responseHeadMs, idleMs } = settings.timeouts;
  const { validate, ca, serverName } = settings.backendTls;
  return {
    name: settings.name,
    name_key: nameKey(settings.name),
    group_id: settings.groupId,
    external_urls: JSON.stringify(settings.externalUrls),
    internal_url: settings.internalUrl,
    enabled: Number(settings.enabled),
    host_header: settings.hostHeader,
    timeouts: JSON.stringify({ connectMs, responseHeadMs, idleMs }),
    backend_tls: JSON.stringify({ validate, ca, serverName }),
  };
}

/** Reads an app. */
export function toApp(row: AppTable): App {
  return {
    ...toRecord(row),
    name: row.name,
    groupId: row.group_id,
    externalUrls: JSON.parse(row.external_urls),
    internalUrl: row.internal_url,
    enabled: row.enabled === 1,
    hostHeader: row.host_header as App["hostHeader"],
    timeouts: JSON.parse(row.timeouts),
    backendTls: JSON.parse(row.backend_tls),
    revision: row.revision,
  };
}

const FIELD_COLUMNS = {
  name: "name",
  groupId: "group_id",
  externalUrls: "external_urls",
  internalUrl: "internal_url",
  enabled: "enabled",
  hostHeader: "host_header",
  timeouts: "timeouts",
  backendTls: "backend_tls",
} as const satisfies Record<keyof AppSettings, keyof AppColumns>;

/** The settings that differ, as the audit entry shows them: no certificate texts, no passwords in URLs. */
export function changedSettings(before: AppColumns | null, after: AppSettings): Record<string, unknown> {
  const columns = toAppColumns(after);
  const changed = Object.entries(FIELD_COLUMNS).filter(([, column]) => before?.[column] !== columns[column]);
  const masked: AppSettings = {
    ...after,
    internalUrl: after.internalUrl.replace(/^([^/]*\/\/)[^/@]*@/, "$1***@"),
    backendTls: after.backendTls.ca === undefined
      ? after.backendTls
      : { ...after.backendTls, ca: `${after.backendTls.ca.length} characters` },
  };
  return Object.fromEntries(changed.map(([field]) => [field, masked[field as keyof AppSettings]]));
}
