import type { Group } from "../model.ts";
import { DEFAULT_GROUP_ID } from "../model.ts";
import type { Database, Queries } from "./database.ts";
import { checkVersion, notFound, StoreError } from "./errors.ts";
import { rowsToAsk, toPage } from "./page.ts";
import type { Store } from "./port.ts";
import { nameKey, newRecord, nextVersion, toRecord } from "./record.ts";
import type { GroupTable } from "./schema.ts";

type GroupRow = Omit<GroupTable, "name_key" | "revision" | "floor">;

const COLUMNS = ["id", "version", "created_at", "updated_at", "name"] as const;

/** The store's calls for groups. */
export function groupCalls(
  database: Database,
): Pick<Store, "listGroups" | "getGroup" | "createGroup" | "updateGroup" | "deleteGroup"> {
  return {
    listGroups: (query) =>
      database.read(async (db) => {
        const rows = await db.selectFrom("groups").select(COLUMNS).where("id", ">", query.cursor ?? "")
          .orderBy("id").limit(rowsToAsk(query)).execute();
        return toPage(rows, query, toGroup);
      }),

    getGroup: (id) => database.read(async (db) => toGroup(await groupRow(db, id))),

    createGroup: (actor, name) =>
      database.write(async ({ db, now, createId, audit, notify }) => {
        const row = { ...newRecord(createId(), now), name };
        await claimName(db, row.id, name);
        await db.insertInto("groups").values({ ...row, name_key: nameKey(name), revision: 1, floor: 1 })
          .execute();
        await audit(actor, "group.create", row.id, { name });
        notify({ kind: "groups" });
        return toGroup(row);
      }),

    updateGroup: (actor, id, name, expectedVersion) =>
      database.write(async ({ db, now, audit, notify }) => {
        const row = await groupRow(db, id);
        checkVersion("group", row, expectedVersion);
        if (name === row.name) return toGroup(row);
        await claimName(db, id, name);
        const changed = { name, ...nextVersion(row, now) };
        await db.updateTable("groups").set({ ...changed, name_key: nameKey(name) }).where("id", "=", id)
          .execute();
        await audit(actor, "group.update", id, { name });
        notify({ kind: "groups" });
        return toGroup({ ...row, ...changed });
      }),

    deleteGroup: (actor, id, expectedVersion) =>
      database.write(async ({ db, audit, notify }) => {
        const row = await groupRow(db, id);
        checkVersion("group", row, expectedVersion);
        if (id === DEFAULT_GROUP_ID) {
          throw new StoreError("group_undeletable", `Cannot delete group "${row.name}": it always exists`);
        }
        await checkEmpty(db, row);
        const tokens = await db.selectFrom("enrolment_tokens").select("id").where("group_id", "=", id)
          .execute();
        await db.deleteFrom("groups").where("id", "=", id).execute();
        await audit(actor, "group.delete", id, {
          name: row.name,
          deletedTokenIds: tokens.map((token) => token.id),
        });
        notify({ kind: "groups" });
      }),
  };
}

/** Throws `not_found` when there is no such group. */
export async function groupRow(db: Queries, id: string): Promise<GroupRow> {
  const row = await db.selectFrom("groups").select(COLUMNS).where("id", "=", id).executeTakeFirst();
  if (row === undefined) throw notFound("group", id);
  return row;
}

async function claimName(db: Queries, id: string, name: string): Promise<void> {
  const taken = await db.selectFrom("groups").select("id").where("name_key", "=", nameKey(name))
    .where("id", "!=", id).executeTakeFirst();
  if (taken === undefined) return;
  throw new StoreError("name_taken", `Cannot name the group "${name}": group "${taken.id}" has this name`, {
    details: { name, takenBy: taken.id },
  });
}

async function checkEmpty(db: Queries, { id, name }: GroupRow): Promise<void> {
  const app = await db.selectFrom("apps").select("id").where("group_id", "=", id).executeTakeFirst();
  const connector = await db.selectFrom("connectors").select("id").where("group_id", "=", id)
    .executeTakeFirst();
  if (app === undefined && connector === undefined) return;
  const members = app === undefined ? "connectors" : "apps";
  throw new StoreError("group_not_empty", `Cannot delete group "${name}": it has ${members}`, {
    details: { id },
  });
}

function toGroup(row: GroupRow): Group {
  return { ...toRecord(row), name: row.name };
}
