import type { Actor, AuditEntry } from "../model.ts";
import type { Database } from "./database.ts";
import { StoreError } from "./errors.ts";
import { rowsToAsk, toPage } from "./page.ts";
import type { Store } from "./port.ts";
import type { AuditTable } from "./schema.ts";

/** The store's call for the audit table; entries are written with the changes themselves. */
export function auditCalls(database: Database): Pick<Store, "listAudit"> {
  return {
    listAudit: (query) =>
      database.read(async (db) => {
        const rows = await db.selectFrom("audit").selectAll().where("id", "<", before(query.cursor))
          .orderBy("id", "desc").limit(rowsToAsk(query)).execute();
        return toPage(rows, query, toEntry);
      }),
  };
}

function before(cursor: string | undefined): number {
  if (cursor === undefined) return Number.MAX_SAFE_INTEGER;
  if (!/^[0-9]{1,15}$/.test(cursor)) {
    throw new StoreError("value_invalid", `Cannot list: cursor "${cursor}" is unknown`);
  }
  return Number(cursor);
}

function toEntry(row: Omit<AuditTable, "id"> & { id: number }): AuditEntry {
  const actor: Actor = { kind: row.actor_kind as Actor["kind"], id: row.actor_id };
  if (row.actor_address !== null) actor.address = row.actor_address;
  return {
    id: row.id,
    at: row.at,
    actor,
    action: row.action,
    target: row.target,
    details: JSON.parse(row.details),
  };
}
