import type { AdminToken } from "../model.ts";
import type { Database, Queries } from "./database.ts";
import { notFound } from "./errors.ts";
import { rowsToAsk, toPage } from "./page.ts";
import type { Store } from "./port.ts";
import { newRecord, nextVersion, toRecord } from "./record.ts";
import type { AdminTokenTable } from "./schema.ts";

/** How fresh `lastUsedAt` is kept, in milliseconds: not each request of an administrator is a write. */
const NOTE_USE_EVERY_MS = 60_000;

/** The store's calls for bearer tokens of the admin API. */
export function adminTokenCalls(
  database: Database,
): Pick<
  Store,
  "listAdminTokens" | "getAdminToken" | "createAdminToken" | "revokeAdminToken" | "findAdminToken"
> {
  return {
    listAdminTokens: (query) =>
      database.read(async (db) => {
        const rows = await db.selectFrom("admin_tokens").selectAll().where("id", ">", query.cursor ?? "")
          .orderBy("id").limit(rowsToAsk(query)).execute();
        return toPage(rows, query, toAdminToken);
      }),

    getAdminToken: (id) => database.read(async (db) => toAdminToken(await tokenRow(db, id))),

    createAdminToken: (actor, name, secretSha256) =>
      database.write(async ({ db, now, createId, audit }) => {
        const row: AdminTokenTable = {
          ...newRecord(createId(), now),
          name,
          last_used_at: null,
          revoked_at: null,
          secret_sha256: secretSha256,
        };
        await db.insertInto("admin_tokens").values(row).execute();
        await audit(actor, "admin_token.create", row.id, { name });
        return toAdminToken(row);
      }),

    revokeAdminToken: (actor, id) =>
      database.write(async ({ db, now, audit }) => {
        const row = await tokenRow(db, id);
        if (row.revoked_at !== null) return toAdminToken(row);
        const changed = { revoked_at: now, ...nextVersion(row, now) };
        await db.updateTable("admin_tokens").set(changed).where("id", "=", id).execute();
        await audit(actor, "admin_token.revoke", id, { revokedAt: now });
        return toAdminToken({ ...row, ...changed });
      }),

    findAdminToken: async (secretSha256) => {
      const row = await database.read((db) =>
        db.selectFrom("admin_tokens").selectAll().where("secret_sha256", "=", secretSha256)
          .where("revoked_at", "is", null).executeTakeFirst()
      );
      if (row === undefined) return null;
      return toAdminToken({ ...row, last_used_at: await noteUse(database, row) });
    },
  };
}

/** An administrator gets in even when the disk is full: a use that cannot be noted is only logged. */
async function noteUse(database: Database, { id, last_used_at }: AdminTokenTable): Promise<number | null> {
  const now = database.now();
  if (last_used_at !== null && Math.abs(now - last_used_at) < NOTE_USE_EVERY_MS) return last_used_at;
  try {
    await database.note(async (db) => {
      await db.updateTable("admin_tokens").set({ last_used_at: now }).where("id", "=", id).execute();
    });
    return now;
  } catch (error) {
    database.log.warn("Use of an admin token could not be noted", { tokenId: id, error });
    return last_used_at;
  }
}

async function tokenRow(db: Queries, id: string): Promise<AdminTokenTable> {
  const row = await db.selectFrom("admin_tokens").selectAll().where("id", "=", id).executeTakeFirst();
  if (row === undefined) throw notFound("admin token", id);
  return row;
}

function toAdminToken(row: AdminTokenTable): AdminToken {
  return { ...toRecord(row), name: row.name, lastUsedAt: row.last_used_at, revokedAt: row.revoked_at };
}
