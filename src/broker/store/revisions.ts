import type { Mutation, Queries } from "./database.ts";
import { notFound } from "./errors.ts";

/** Tombstones kept for each group: about how many removals a connector may miss before it is sent everything. */
export const DEFAULT_MAX_TOMBSTONES = 4_096;
/** Tombstones are counted each time that this part of the limit may have been added: seldom, so a removal stays cheap. */
const COUNTED_PART = 1 / 16;

/** Counts a group's configuration revision up and gives the new one. Throws `not_found`. */
export async function nextRevision({ db, maxTombstones }: Mutation, groupId: string): Promise<number> {
  const row = await db.updateTable("groups").set((e) => ({ revision: e("revision", "+", 1) }))
    .where("id", "=", groupId).returning("revision").executeTakeFirst();
  if (row === undefined) throw notFound("group", groupId);
  const compactEvery = Math.ceil(maxTombstones * COUNTED_PART);
  if (row.revision % compactEvery === 0) await compact(db, groupId, maxTombstones);
  return row.revision;
}

/** Notes that connectors of the group have to forget the app. */
export async function buryApp(db: Queries, groupId: string, appId: string, revision: number): Promise<void> {
  await db.insertInto("app_tombstones").values({ group_id: groupId, app_id: appId, revision })
    .onConflict((conflict) => conflict.columns(["group_id", "app_id"]).doUpdateSet({ revision })).execute();
}

/** The app is the group's again: nothing to forget. */
export async function unburyApp(db: Queries, groupId: string, appId: string): Promise<void> {
  await db.deleteFrom("app_tombstones").where("group_id", "=", groupId).where("app_id", "=", appId).execute();
}

/** Drops the oldest tombstones beyond the limit and raises the floor below which changes are no longer known. */
async function compact(db: Queries, groupId: string, maxTombstones: number): Promise<void> {
  const newestToDrop = await db.selectFrom("app_tombstones").select("revision").where(
    "group_id",
    "=",
    groupId,
  )
    .orderBy("revision", "desc").limit(1).offset(maxTombstones).executeTakeFirst();
  if (newestToDrop === undefined) return;
  await db.deleteFrom("app_tombstones").where("group_id", "=", groupId)
    .where("revision", "<=", newestToDrop.revision).execute();
  await db.updateTable("groups").set({ floor: newestToDrop.revision }).where("id", "=", groupId).execute();
}
