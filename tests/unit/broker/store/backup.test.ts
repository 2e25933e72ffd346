import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { MIGRATIONS } from "../../../../src/broker/store/migrations.ts";
import { restoreStore } from "../../../../src/broker/store/restore.ts";
import { openStore } from "../../../../src/broker/store/sqlite.ts";
import {
  ADMIN,
  appSettings,
  ManualClock,
  temporaryFolder,
  temporaryStore,
} from "../../../support/store_fixture.ts";

test("backup: a file of its own, private, never over another", async (t) => {
  const { store } = await temporaryStore(t);
  const folder = temporaryFolder(t);
  const to = join(folder, "copy.db");
  await store.backup(to);
  assert.deepEqual(readdirSync(folder), ["copy.db"]);
  if (process.platform !== "win32") assert.equal(statSync(to).mode & 0o777, 0o600);
  const bytes = readFileSync(to);
  await assert.rejects(store.backup(to), { code: "store_file_exists" });
  assert.deepEqual(readFileSync(to), bytes);
  assert.deepEqual(readdirSync(folder), ["copy.db"]);
  await assert.rejects(store.backup(join(to, "below.db")), { code: "store_file_failed" });
});

test("restore: what was backed up is there again, the replaced store stays aside whole", async (t) => {
  const { store, path } = await temporaryStore(t);
  const app = await store.createApp(ADMIN, appSettings("Wiki"));
  const backup = join(temporaryFolder(t), "copy.db");
  await store.backup(backup);
  const late = await store.createGroup(ADMIN, "Late");
  await store.close();

  const clock = new ManualClock();
  const { replaced } = await restoreStore(backup, path, { clock, actor: ADMIN });
  assert.equal(replaced, `${path}.replaced-${new Date(clock.time).toISOString().replace(/[:.]/g, "-")}`);
  assert.deepEqual(
    readdirSync(join(path, "..")).sort(),
    [path, `${path}.lock`, replaced].map((file) => file!.slice(join(path, "..").length + 1)).sort(),
  );

  const restored = await openStore({ path });
  assert.deepEqual(await restored.getApp(app.id), app);
  await assert.rejects(restored.getGroup(late.id), { code: "not_found" });
  const [entry] = (await restored.listAudit({ limit: 1 })).items;
  assert.deepEqual([entry!.action, entry!.actor, entry!.details], ["store.restore", ADMIN, { from: backup }]);
  await restored.close();
  if (process.platform !== "win32") assert.equal(statSync(path).mode & 0o777, 0o600);

  const aside = await openStore({ path: replaced! });
  assert.deepEqual(await aside.getGroup(late.id), late);
  await aside.close();
});

test("restore: a connector that knows revisions of the replaced store is sent everything", async (t) => {
  const { store, path, clock } = await temporaryStore(t);
  const app = await store.createApp(ADMIN, appSettings("Wiki"));
  const backup = join(temporaryFolder(t), "copy.db");
  await store.backup(backup);
  for (let i = 0; i < 10; i++) {
    await store.updateApp(ADMIN, app.id, { internalUrl: `http://10.0.0.1:${i + 1}/` });
  }
  const known = await store.groupRevision("default");
  await store.close();
  await restoreStore(backup, path, { clock });
  const restored = await openStore({ path, clock });
  for (const since of [app.revision, known]) {
    const changes = await restored.appChanges("default", since);
    assert.ok(changes.revision > known);
    assert.deepEqual([changes.full, changes.apps], [true, [app]]);
  }
  await restored.close();
});

test("restore: into nothing, and twice", async (t) => {
  const { store } = await temporaryStore(t);
  const folder = temporaryFolder(t);
  const [backup, path] = [join(folder, "copy.db"), join(folder, "new", "sallyport.db")];
  await store.backup(backup);
  assert.deepEqual(await restoreStore(backup, path), { replaced: null });
  assert.ok(existsSync((await restoreStore(backup, path)).replaced!));
  await (await openStore({ path })).close();
});

test("restore: refused while the store is open, by us or by another program; and no opening while it goes on", async (t) => {
  const { store, path } = await temporaryStore(t);
  const backup = join(temporaryFolder(t), "copy.db");
  await store.backup(backup);
  await assert.rejects(restoreStore(backup, path), { code: "store_in_use" });
  await store.createGroup(ADMIN, "Still there");
  await store.close();

  const other = new DatabaseSync(path);
  other.prepare("SELECT count(*) FROM groups").get();
  await assert.rejects(restoreStore(backup, path), { code: "store_in_use" });
  other.close();

  const lock = new DatabaseSync(`${path}.lock`);
  lock.exec("BEGIN EXCLUSIVE");
  await assert.rejects(openStore({ path }), { code: "store_in_use" });
  lock.close();
  const again = await openStore({ path });
  assert.equal((await again.listGroups({ limit: 5 })).items.length, 2);
  await again.close();
});

test("restore: a damaged, foreign, newer or empty copy is refused, and the store stays as it was", async (t) => {
  const { store, path } = await temporaryStore(t);
  const folder = temporaryFolder(t);
  const file = (name: string) => join(folder, name);
  for (let i = 0; i < 50; i++) await store.createGroup(ADMIN, `Group ${i}`);
  await store.backup(file("cut.db"));
  await store.close();
  truncateSync(file("cut.db"), 3 * 4_096);
  writeFileSync(file("empty.db"), "");
  writeFileSync(file("text.db"), "no database at all ".repeat(100));
  const foreign = new DatabaseSync(file("foreign.db"));
  foreign.exec("CREATE TABLE theirs (a)");
  foreign.close();
  const migrations = [...MIGRATIONS, { id: MIGRATIONS.length + 1, name: "x", statements: [] }];
  await (await openStore({ path: file("newer.db"), migrations })).close();

  for (const name of ["cut", "empty", "text", "foreign"]) {
    await assert.rejects(restoreStore(file(`${name}.db`), path), { code: "store_damaged" }, name);
  }
  await assert.rejects(restoreStore(file("newer.db"), path), { code: "store_newer" });
  await assert.rejects(restoreStore(file("missing.db"), path), { code: "store_file_failed" });
  const live = await openStore({ path: file("live.db") });
  await assert.rejects(restoreStore(file("live.db"), path), { code: "store_damaged" });
  await live.close();

  assert.deepEqual(readdirSync(join(path, "..")).sort(), ["sallyport.db", "sallyport.db.lock"]);
  const same = await openStore({ path });
  assert.equal((await same.listGroups({ limit: 100 })).items.length, 51);
  await same.close();
});

test("restore: a damaged store is replaced, and set aside with its write-ahead log", async (t) => {
  const { store, path } = await temporaryStore(t);
  const backup = join(temporaryFolder(t), "copy.db");
  await store.backup(backup);
  await store.close();
  writeFileSync(path, "rubbish ".repeat(1_000));
  writeFileSync(`${path}-wal`, "log");
  const { replaced } = await restoreStore(backup, path);
  assert.equal(readFileSync(replaced!, "utf8").slice(0, 7), "rubbish");
  const again = await openStore({ path });
  assert.equal(await again.ping(), true);
  await again.close();
});
