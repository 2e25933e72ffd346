import type { AppChanges, Store } from "./port.ts";
import { toApp } from "./app_row.ts";
import type { Database, Queries } from "./database.ts";
import { notFound } from "./errors.ts";

/** The store's calls for what connectors pull. */
export function appChangeCalls(database: Database): Pick<Store, "groupRevision" | "appChanges"> {
  return {
    groupRevision: (groupId) => database.read(async (db) => (await revisionsOf(db, groupId)).revision),

    appChanges: (groupId, since) =>
      database.read(async (db) => {
        const { revision, floor } = await revisionsOf(db, groupId);
        if (since === revision) return { revision, full: false, apps: [], removedIds: [] };
        const full = !(since >= floor && since < revision);
        return await changesAfter(db, groupId, revision, full ? null : since);
      }),
  };
}

async function revisionsOf(db: Queries, groupId: string): Promise<{ revision: number; floor: number }> {
  const row = await db.selectFrom("groups").select(["revision", "floor"]).where("id", "=", groupId)
    .executeTakeFirst();
  if (row === undefined) throw notFound("group", groupId);
  return row;
}

/** `since` null: everything. */
async function changesAfter(
  db: Queries,
  groupId: string,
  revision: number,
  since: number | null,
): Promise<AppChanges> {
  const rows = await db.selectFrom("apps").selectAll().where("group_id", "=", groupId)
    .where("revision", ">", since ?? 0).where("enabled", "=", 1).orderBy("revision").execute();
  const removed = since === null ? [] : await db.selectFrom("app_tombstones").select("app_id")
    .where("group_id", "=", groupId).where("revision", ">", since).orderBy("revision").execute();
  return {
    revision,
    full: since === null,
    apps: rows.map(toApp),
    removedIds: removed.map((row) => row.app_id),
  };
}
