import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { DEFAULT_GROUP_ID } from "../../src/broker/model.ts";
import type { App } from "../../src/broker/model.ts";
import { openStore } from "../../src/broker/store/sqlite.ts";
import type { WriterLine } from "./store_writer.ts";

/** What writers were told, held against what a store's file has. */
export class StoreLedger {
  /** Least version of each app that was acknowledged and that nobody began to delete. */
  readonly alive = new Map<string, number>();
  readonly deleted = new Set<string>();
  failure: Extract<WriterLine, { failed: string }> | undefined;

  note(line: WriterLine): void {
    if ("failed" in line) this.failure = line;
    else if ("begun" in line) this.alive.delete(line.id);
    else if (line.done === "deleted") this.deleted.add(line.id);
    else this.alive.set(line.id, line.version);
  }

  /** Throws when something acknowledged is lost, something is half applied, or the file is damaged. */
  async verify(path: string): Promise<void> {
    await using store = await openStore({ path });
    const apps = new Map<string, App>();
    let cursor: string | null = "";
    while (cursor !== null) {
      const page: { items: App[]; next: string | null } = await store.listApps({ limit: 1_000, cursor });
      for (const app of page.items) apps.set(app.id, app);
      cursor = page.next;
    }
    for (const [id, version] of this.alive) {
      assert.ok((apps.get(id)?.version ?? 0) >= version, `lost: app ${id}`);
    }
    for (const id of this.deleted) assert.ok(!apps.has(id), `lost: deletion of app ${id}`);
    const { apps: pulled } = await store.appChanges(DEFAULT_GROUP_ID, 0);
    assert.equal(pulled.length, apps.size);
    checkWhole(path, apps, await store.groupRevision(DEFAULT_GROUP_ID));
  }
}

/** Each change is there with its audit entry, its revision and its URL, or not at all. */
function checkWhole(path: string, apps: ReadonlyMap<string, App>, revision: number): void {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const count = (sql: string) => Number(Object.values(database.prepare(sql).get()!)[0]);
    assert.deepEqual({ ...database.prepare("PRAGMA integrity_check").get() }, { integrity_check: "ok" });
    assert.equal(count("SELECT count(*) FROM pragma_foreign_key_check"), 0);
    assert.equal(count("SELECT count(*) FROM audit WHERE action LIKE 'app.%'"), revision - 1);
    assert.equal(count("SELECT count(*) FROM app_urls"), apps.size);
    const deletions = count("SELECT count(*) FROM audit WHERE action = 'app.delete'");
    assert.equal(count("SELECT count(*) FROM app_tombstones"), deletions);
    const entries = database.prepare("SELECT target, count(*) AS n FROM audit GROUP BY target").all();
    const byTarget = new Map(entries.map(({ target, n }) => [target, n]));
    for (const { id, version } of apps.values()) assert.equal(byTarget.get(id), version, `app ${id}`);
  } finally {
    database.close();
  }
}
