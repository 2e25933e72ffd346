import type { AppSettings } from "../model.ts";
import { changedSettings, toApp, toAppColumns } from "./app_row.ts";
import type { Database, Mutation, Queries } from "./database.ts";
import { checkVersion, notFound, StoreError } from "./errors.ts";
import { externalUrlKey } from "./external_url.ts";
import { rowsToAsk, toPage } from "./page.ts";
import type { Store } from "./port.ts";
import { nameKey, newRecord, nextVersion } from "./record.ts";
import { buryApp, nextRevision, unburyApp } from "./revisions.ts";
import type { AppTable } from "./schema.ts";

/** The store's calls for apps. */
export function appCalls(
  database: Database,
): Pick<Store, "listApps" | "getApp" | "createApp" | "updateApp" | "deleteApp"> {
  return {
    listApps: (query) =>
      database.read(async (db) => {
        let rows = db.selectFrom("apps").selectAll().where("id", ">", query.cursor ?? "");
        if (query.groupId !== undefined) rows = rows.where("group_id", "=", query.groupId);
        return toPage(await rows.orderBy("id").limit(rowsToAsk(query)).execute(), query, toApp);
      }),

    getApp: (id) => database.read(async (db) => toApp(await appRow(db, id))),

    createApp: (actor, settings) =>
      database.write(async (mutation) => {
        const { db, now, createId, audit, notify } = mutation;
        const id = createId();
        const revision = await nextRevision(mutation, settings.groupId);
        await claimName(db, id, settings.name);
        const row: AppTable = { ...newRecord(id, now), ...toAppColumns(settings), revision };
        await db.insertInto("apps").values(row).execute();
        await claimUrls(db, id, settings.externalUrls);
        await audit(actor, "app.create", id, changedSettings(null, settings));
        notify({ kind: "apps", groupIds: [settings.groupId] });
        return toApp(row);
      }),

    updateApp: (actor, id, patch, expectedVersion) =>
      database.write(async (mutation) => {
        const { db, now, audit, notify } = mutation;
        const before = await appRow(db, id);
        checkVersion("app", before, expectedVersion);
        const settings = merge(toApp(before), patch);
        const details = changedSettings(before, settings);
        if (Object.keys(details).length === 0) return toApp(before);
        const moved = settings.groupId !== before.group_id;
        const revision = await nextRevision(mutation, settings.groupId);
        const after: AppTable = {
          ...before,
          ...toAppColumns(settings),
          ...nextVersion(before, now),
          revision,
        };
        if (details.name !== undefined) await claimName(db, id, settings.name);
        await db.updateTable("apps").set(after).where("id", "=", id).execute();
        if (details.externalUrls !== undefined) await claimUrls(db, id, settings.externalUrls);
        await markGraves(mutation, before, after);
        await audit(actor, "app.update", id, details);
        notify({ kind: "apps", groupIds: moved ? [before.group_id, after.group_id] : [after.group_id] });
        return toApp(after);
      }),

    deleteApp: (actor, id, expectedVersion) =>
      database.write(async (mutation) => {
        const { db, audit, notify } = mutation;
        const row = await appRow(db, id);
        checkVersion("app", row, expectedVersion);
        await db.deleteFrom("apps").where("id", "=", id).execute();
        const revision = await nextRevision(mutation, row.group_id);
        if (row.enabled === 1) await buryApp(db, row.group_id, id, revision);
        await audit(actor, "app.delete", id, { name: row.name, groupId: row.group_id });
        notify({ kind: "apps", groupIds: [row.group_id] });
      }),
  };
}

async function appRow(db: Queries, id: string): Promise<AppTable> {
  const row = await db.selectFrom("apps").selectAll().where("id", "=", id).executeTakeFirst();
  if (row === undefined) throw notFound("app", id);
  return row;
}

/** Settings with those of the patch that are given. */
function merge(settings: AppSettings, patch: Partial<AppSettings>): AppSettings {
  const given = Object.fromEntries(Object.entries(patch).filter(([, value]) => value !== undefined));
  return { ...settings, ...given };
}

/** An app leaves a tombstone in a group when that group's connectors knew it and no longer may. */
async function markGraves(mutation: Mutation, before: AppTable, after: AppTable): Promise<void> {
  const { db } = mutation;
  const moved = before.group_id !== after.group_id;
  const revisionBefore = moved ? await nextRevision(mutation, before.group_id) : after.revision;
  if (before.enabled === 1 && (moved || after.enabled === 0)) {
    await buryApp(db, before.group_id, before.id, revisionBefore);
  }
  if (after.enabled === 1) await unburyApp(db, after.group_id, after.id);
}

async function claimName(db: Queries, id: string, name: string): Promise<void> {
  const taken = await db.selectFrom("apps").select("id").where("name_key", "=", nameKey(name)).where(
    "id",
    "!=",
    id,
  )
    .executeTakeFirst();
  if (taken === undefined) return;
  throw new StoreError("name_taken", `Cannot name the app "${name}": app "${taken.id}" has this name`, {
    details: { name, takenBy: taken.id },
  });
}

/** Makes the URLs those of this app, in place of the ones it had. */
async function claimUrls(db: Queries, id: string, urls: readonly string[]): Promise<void> {
  const byKey = new Map(urls.map((url) => [externalUrlKey(url), url]));
  await db.deleteFrom("app_urls").where("app_id", "=", id).execute();
  if (byKey.size === 0) return;
  const taken = await db.selectFrom("app_urls").selectAll().where("url_key", "in", [...byKey.keys()])
    .executeTakeFirst();
  if (taken !== undefined) {
    const url = byKey.get(taken.url_key);
    throw new StoreError(
      "url_taken",
      `Cannot publish at "${url}": app "${taken.app_id}" is published there`,
      {
        details: { url, takenBy: taken.app_id },
      },
    );
  }
  const rows = [...byKey.keys()].map((url_key) => ({ url_key, app_id: id }));
  await db.insertInto("app_urls").values(rows).execute();
}
