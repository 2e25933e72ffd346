import { type Kysely, sql } from "kysely";
import { StoreError } from "./errors.ts";
import type { Migration } from "./migrations.ts";
import type { Schema } from "./schema.ts";

/** Marks a SQLite file as ours ("SALY"): `file` shows it, and nothing else is ever migrated by mistake. */
export const APPLICATION_ID = 0x53414c59;

/**
 * Brings a database to the newest schema, all missing steps in one transaction. Throws `store_newer` when a newer
 * program has written it, and `store_damaged` when it is some other program's file.
 */
export async function migrate(
  db: Kysely<Schema>,
  migrations: readonly Migration[],
  now: number,
  expect: "existing" | "any",
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const at = await schemaVersion(tx);
    if (at === 0 && expect === "existing") {
      throw new StoreError("store_damaged", "Cannot open the store: the file is empty");
    }
    const newest = migrations.at(-1)?.id ?? 0;
    if (at > newest) {
      throw new StoreError(
        "store_newer",
        `Cannot open the store: its schema is ${at}, this program knows up to ${newest}`,
        {
          details: { schema: at, newest },
        },
      );
    }
    for (const { id, name, statements } of migrations.filter((migration) => migration.id > at)) {
      for (const statement of statements) await sql.raw(statement).execute(tx);
      await tx.insertInto("migrations").values({ id, name, applied_at: now }).execute();
    }
  });
}

/** Number of the last step applied, 0 in an empty file, which it claims as ours. */
async function schemaVersion(tx: Kysely<Schema>): Promise<number> {
  const id = await sql<{ application_id: number }>`PRAGMA application_id`.execute(tx);
  if (id.rows[0]?.application_id !== APPLICATION_ID) {
    const tables = await sql<{ count: number }>`SELECT count(*) AS count FROM sqlite_schema`.execute(tx);
    if (tables.rows[0]?.count !== 0) {
      throw new StoreError(
        "store_damaged",
        "Cannot open the store: the file is some other program's database",
      );
    }
    await sql.raw(`PRAGMA application_id = ${APPLICATION_ID}`).execute(tx);
    await sql.raw(
      `CREATE TABLE migrations (id INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT`,
    ).execute(tx);
    return 0;
  }
  const last = await tx.selectFrom("migrations").select((e) => e.fn.max("id").as("id")).executeTakeFirst();
  return last?.id ?? 0;
}
