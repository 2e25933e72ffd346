import assert from "node:assert/strict";
import { readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { MIGRATIONS } from "../../../../src/broker/store/migrations.ts";
import { openStore } from "../../../../src/broker/store/sqlite.ts";
import { ADMIN, appSettings, temporaryFolder } from "../../../support/store_fixture.ts";

const next = MIGRATIONS.length + 1;
const newer = [...MIGRATIONS, { id: next, name: "test", statements: ["CREATE TABLE extra (a TEXT) STRICT"] }];

test("migrations: numbered from 1 without a gap", () => {
  assert.deepEqual(MIGRATIONS.map(({ id }) => id), MIGRATIONS.map((_, index) => index + 1));
});

test(
  "open: makes folder and files that only the owner reads",
  { skip: process.platform === "win32" },
  async (t) => {
    const folder = join(temporaryFolder(t), "a", "b");
    const store = await openStore({ path: join(folder, "store.db") });
    await store.createGroup(ADMIN, "Branch");
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    for (const name of readdirSync(folder).filter((name) => !name.endsWith(".lock"))) {
      assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name);
    }
    await store.close();
  },
);

test("migrate: an empty file, an existing store, a store of an older program", async (t) => {
  const path = join(temporaryFolder(t), "store.db");
  writeFileSync(path, "");
  for (const migrations of [MIGRATIONS, MIGRATIONS, newer]) {
    const store = await openStore({ path, migrations });
    if (migrations === MIGRATIONS) await store.updateSettings(ADMIN, { latestVersion: "9" });
    assert.equal((await store.getSettings()).settings.latestVersion, "9");
    await store.close();
  }
  const database = new DatabaseSync(path);
  const applied = database.prepare("SELECT id FROM migrations ORDER BY id").all().map((row) => row.id);
  assert.deepEqual(applied, newer.map(({ id }) => id));
  assert.equal(database.prepare("SELECT count(*) AS n FROM extra").get()!.n, 0);
  database.close();
});

test("migrate: a schema newer than the program is refused and left alone", async (t) => {
  const path = join(temporaryFolder(t), "store.db");
  await (await openStore({ path, migrations: newer })).close();
  const details = { schema: next, newest: MIGRATIONS.length };
  await assert.rejects(openStore({ path }), { code: "store_newer", retryable: false, details });
  await (await openStore({ path, migrations: newer })).close();
});

test("migrate: a step that fails leaves the schema as it was", async (t) => {
  const path = join(temporaryFolder(t), "store.db");
  await (await openStore({ path })).close();
  const bad = [...newer, {
    id: next + 1,
    name: "bad",
    statements: ["CREATE TABLE more (a) STRICT", "nonsense"],
  }];
  await assert.rejects(openStore({ path, migrations: bad }), { code: "store_failed" });
  const store = await openStore({ path });
  await store.createGroup(ADMIN, "Branch");
  await store.close();
});

test("open: a file that is no store is refused", async (t) => {
  const folder = temporaryFolder(t);
  const text = join(folder, "text.db");
  writeFileSync(text, "This is a text, and long enough that nobody takes it for an empty file.".repeat(20));
  await assert.rejects(openStore({ path: text }), { code: "store_damaged", retryable: false });

  const foreign = join(folder, "foreign.db");
  const database = new DatabaseSync(foreign);
  database.exec("CREATE TABLE theirs (a)");
  database.close();
  await assert.rejects(openStore({ path: foreign }), { code: "store_damaged" });

  await assert.rejects(openStore({ path: join(text, "below", "a.db") }), { code: "store_file_failed" });
});

test("migrate: two that open a new store at once both get it", async (t) => {
  const path = join(temporaryFolder(t), "store.db");
  const stores = await Promise.all([openStore({ path }), openStore({ path })]);
  await stores[0].createGroup(ADMIN, "Branch");
  assert.equal((await stores[1].listGroups({ limit: 5 })).items.length, 2);
  for (const store of stores) await store.close();
});

test("migrate: external URLs of before lose their scheme; of two apps with one place the first that is enabled has it", async (t) => {
  const path = join(temporaryFolder(t), "store.db");
  const store = await openStore({ path });
  const ids: string[] = [];
  for (const name of ["a", "b", "c", "d"]) {
    ids.push((await store.createApp(ADMIN, appSettings(name, { externalUrls: [] }))).id);
  }
  // Those of one millisecond are in no order.
  const [off, first, second, both] = ids.sort();
  await store.updateApp(ADMIN, off!, { enabled: false });
  await store.close();
  const apps: Record<string, string> = {
    [off!]: "Off",
    [first!]: "First",
    [second!]: "Second",
    [both!]: "Both",
  };
  const idOf = (name: string) => ids.find((id) => apps[id] === name)!;
  const database = new DatabaseSync(path);
  const before: [string, string][] = [
    ["https://two.test:443/", "Off"],
    ["http://two.test:80/", "Second"],
    ["http://one.test:80/x/", "First"],
    ["https://one.test:443/x/", "Second"],
    ["http://both.test:80/", "Both"],
    ["https://both.test:443/", "Both"],
    ["https://a.test:80/", "First"],
    ["http://a.test:443/", "Second"],
    ["https://a.test:8443/y/", "First"],
    ["https://[::443]:443/", "First"],
    ["https://*.w.test:443/", "First"],
  ];
  const insert = database.prepare("INSERT INTO app_urls VALUES (?, ?)");
  for (const [key, name] of before) insert.run(key, idOf(name));
  database.exec("DELETE FROM migrations WHERE id >= 6");
  database.close();

  await (await openStore({ path })).close();
  const after = new DatabaseSync(path);
  const rows = after.prepare("SELECT url_key, app_id FROM app_urls").all();
  after.close();
  const owners = Object.fromEntries(rows.map((row) => [row.url_key, apps[String(row.app_id)]]));
  assert.deepEqual(owners, {
    "two.test/": "Second",
    "one.test/x/": "First",
    "both.test/": "Both",
    "a.test:80/": "First",
    "a.test:443/": "Second",
    "a.test:8443/y/": "First",
    "[::443]/": "First",
    "*.w.test/": "First",
  });
});
