/** When SQLite waits for the disk: at each change that is acknowledged, also after those that may be lost. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { sql } from "kysely";
import { openConnections } from "../../../../src/broker/store/connections.ts";
import { Database, type Queries } from "../../../../src/broker/store/database.ts";
import { MIGRATIONS } from "../../../../src/broker/store/migrations.ts";
import { temporaryFolder } from "../../../support/store_fixture.ts";

const [NORMAL, FULL] = [1, 2];

async function synchronous(db: Queries): Promise<number> {
  const { rows } = await sql<{ synchronous: number }>`PRAGMA synchronous`.execute(db);
  return rows[0]!.synchronous;
}

test("store: a write-ahead log, and each acknowledged change on disk, also after a note and one that failed", async (t) => {
  const connections = openConnections(join(temporaryFolder(t), "store.db"), 250);
  const database = new Database(connections, { clock: Date });
  t.after(() => database.close());
  await database.migrate(MIGRATIONS);
  assert.deepEqual({ ...connections.writer.prepare("PRAGMA journal_mode").get() }, { journal_mode: "wal" });
  const ofWrite = () => database.write(({ db }) => synchronous(db));
  assert.equal(await ofWrite(), FULL);
  assert.equal(await database.note(synchronous), NORMAL);
  assert.equal(await ofWrite(), FULL);
  await assert.rejects(database.note(() => Promise.reject(new Error("fails half-way"))));
  assert.equal(await ofWrite(), FULL);
});
