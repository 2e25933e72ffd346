import { sql } from "kysely";
import type { ConnectorRecord } from "../model.ts";
import type { Database, Queries } from "./database.ts";
import { checkVersion, notFound } from "./errors.ts";
import { groupRow } from "./groups.ts";
import { rowsToAsk, toPage } from "./page.ts";
import type { Store } from "./port.ts";
import { nextVersion, toRecord } from "./record.ts";
import type { ConnectorTable } from "./schema.ts";

/** How many absent connectors are named at a time. */
const MOST_ABSENT = 100;

/** The store's calls for connectors that exist. */
export function connectorCalls(
  database: Database,
): Pick<
  Store,
  | "listConnectors"
  | "getConnector"
  | "updateConnector"
  | "deleteConnector"
  | "noteAbsence"
  | "noteConnectorSeen"
> {
  return {
    listConnectors: (query) =>
      database.read(async (db) => {
        let rows = db.selectFrom("connectors").selectAll().where("id", ">", query.cursor ?? "");
        if (query.groupId !== undefined) rows = rows.where("group_id", "=", query.groupId);
        return toPage(await rows.orderBy("id").limit(rowsToAsk(query)).execute(), query, toConnector);
      }),

    getConnector: (id) => database.read(async (db) => toConnector(await connectorRow(db, id))),

    updateConnector: (actor, id, patch, expectedVersion) =>
      database.write(async ({ db, now, audit, notify }) => {
        const before = await connectorRow(db, id);
        checkVersion("connector", before, expectedVersion);
        const after = { ...before, ...nextVersion(before, now) };
        const details: Record<string, unknown> = {};
        if (patch.groupId !== undefined && patch.groupId !== before.group_id) {
          after.group_id = (await groupRow(db, patch.groupId)).id;
          details.groupId = after.group_id;
        }
        if (patch.enabled !== undefined && Number(patch.enabled) !== before.enabled) {
          after.enabled = Number(patch.enabled);
          details.enabled = patch.enabled;
        }
        if (Object.keys(details).length === 0) return toConnector(before);
        await db.updateTable("connectors").set(after).where("id", "=", id).execute();
        await audit(actor, "connector.update", id, details);
        notify({ kind: "connector", id, what: "updated" });
        return toConnector(after);
      }),

    deleteConnector: (actor, id, expectedVersion) =>
      database.write(async ({ db, now, audit, notify }) => {
        const row = await connectorRow(db, id);
        checkVersion("connector", row, expectedVersion);
        await db.updateTable("certificates").set({
          revoked_at: now,
          revocation_reason: "the connector was deleted",
        }).where("connector_id", "=", id)
          .where("revoked_at", "is", null).execute();
        await db.deleteFrom("connectors").where("id", "=", id).execute();
        await audit(actor, "connector.delete", id, { machineName: row.machine_name, groupId: row.group_id });
        notify({ kind: "connector", id, what: "deleted" });
      }),

    noteAbsence: (connected, ms, limitMs) =>
      database.note(async (db) => {
        // One that is disabled is away because an administrator said so, and may want it back.
        const isExcused = sql<
          boolean
        >`(enabled = 0 OR id IN (SELECT value FROM json_each(${JSON.stringify(connected)})))`;
        await db.updateTable("connectors").set({ absent_ms: 0 })
          .where("absent_ms", ">", 0).where(isExcused).execute();
        await db.updateTable("connectors").set(({ eb }) => ({
          absent_ms: eb("absent_ms", "+", Math.round(ms)),
        }))
          .where(({ not }) => not(isExcused)).execute();
        const absent = await db.selectFrom("connectors").select("id").where("absent_ms", ">=", limitMs)
          .orderBy("id").limit(MOST_ABSENT).execute();
        return absent.map(({ id }) => id);
      }),

    noteConnectorSeen: (id, seen) =>
      database.note(async (db) => {
        const row = await connectorRow(db, id);
        await db.updateTable("connectors").set({
          last_seen_at: Math.max(seen.at, row.last_seen_at ?? 0),
          external_ip: seen.externalIp ?? row.external_ip,
          software_version: seen.softwareVersion ?? row.software_version,
          machine_name: seen.machineName ?? row.machine_name,
          os: seen.os ?? row.os,
          ...(seen.trustedRoots === undefined ? {} : { trusted_roots: JSON.stringify(seen.trustedRoots) }),
        }).where("id", "=", id).execute();
        if (seen.certificateSerial === undefined) return;
        await db.updateTable("certificates").set({ used_at: seen.at })
          .where("serial", "=", seen.certificateSerial).where("used_at", "is", null).execute();
      }),
  };
}

/** Throws `not_found` when there is no such connector. */
export async function connectorRow(db: Queries, id: string): Promise<ConnectorTable> {
  const row = await db.selectFrom("connectors").selectAll().where("id", "=", id).executeTakeFirst();
  if (row === undefined) throw notFound("connector", id);
  return row;
}

/** Reads a connector. */
export function toConnector(row: ConnectorTable): ConnectorRecord {
  return {
    ...toRecord(row),
    groupId: row.group_id,
    machineName: row.machine_name,
    os: row.os,
    softwareVersion: row.software_version,
    externalIp: row.external_ip,
    enabled: row.enabled === 1,
    lastSeenAt: row.last_seen_at,
    certificateSerial: row.certificate_serial,
    certificateNotAfter: row.certificate_not_after,
    publicKeySha256: row.public_key_sha256,
  };
}
