import type { Actor, AdminToken } from "../model.ts";
import type { Database, Mutation, Queries } from "./database.ts";
import { notFound, StoreError } from "./errors.ts";
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
  | "listAdminTokens"
  | "getAdminToken"
  | "createAdminToken"
  | "revokeAdminToken"
  | "replaceAdminTokens"
  | "findAdminToken"
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
      database.write(async (mutation) => toAdminToken(await create(mutation, actor, name, secretSha256))),

    revokeAdminToken: (actor, id) =>
      database.write(async (mutation) => {
        const row = await tokenRow(mutation.db, id);
        if (row.revoked_at !== null) return toAdminToken(row);
        if ((await otherLiveRows(mutation.db, id)).length === 0) throw lastOne(row);
        return toAdminToken(await revoke(mutation, actor, row));
      }),

    replaceAdminTokens: (actor, name, secretSha256) =>
      database.write(async (mutation) => {
        const made = await create(mutation, actor, name, secretSha256);
        for (const row of await otherLiveRows(mutation.db, made.id)) await revoke(mutation, actor, row);
        return toAdminToken(made);
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

async function create(
  { db, now, createId, audit }: Mutation,
  actor: Actor,
  name: string,
  secretSha256: string,
): Promise<AdminTokenTable> {
  const row: AdminTokenTable = {
    ...newRecord(createId(), now),
    name,
    last_used_at: null,
    revoked_at: null,
    secret_sha256: secretSha256,
  };
  await db.insertInto("admin_tokens").values(row).execute();
  await audit(actor, "admin_token.create", row.id, { name });
  return row;
}

async function revoke(
  { db, now, audit }: Mutation,
  actor: Actor,
  row: AdminTokenTable,
): Promise<AdminTokenTable> {
  const changed = { revoked_at: now, ...nextVersion(row, now) };
  await db.updateTable("admin_tokens").set(changed).where("id", "=", row.id).execute();
  await audit(actor, "admin_token.revoke", row.id, { revokedAt: now });
  return { ...row, ...changed };
}

/** Tokens that are not revoked, but for one. */
async function otherLiveRows(db: Queries, id: string): Promise<AdminTokenTable[]> {
  return await db.selectFrom("admin_tokens").selectAll().where("id", "!=", id)
    .where("revoked_at", "is", null).execute();
}

function lastOne({ id, name }: AdminTokenTable): StoreError {
  return new StoreError(
    "admin_token_last",
    `Cannot revoke admin token "${name}": nobody could get in any more; make another one first`,
    { details: { id } },
  );
}

async function tokenRow(db: Queries, id: string): Promise<AdminTokenTable> {
  const row = await db.selectFrom("admin_tokens").selectAll().where("id", "=", id).executeTakeFirst();
  if (row === undefined) throw notFound("admin token", id);
  return row;
}

function toAdminToken(row: AdminTokenTable): AdminToken {
  return { ...toRecord(row), name: row.name, lastUsedAt: row.last_used_at, revokedAt: row.revoked_at };
}
