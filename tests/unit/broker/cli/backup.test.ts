import assert from "node:assert/strict";
import { mkdirSync, readlinkSync, rmdirSync } from "node:fs";
import { open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import { openCa } from "../../../../src/broker/ca/ca.ts";
import { CaFolder } from "../../../../src/broker/ca/ca_folder.ts";
import { mayCreateAuthority } from "../../../../src/broker/ca/may_create.ts";
import { changing, renewIssuing } from "../../../../src/broker/ca/roll_over.ts";
import { backupDataFolder, restoreDataFolder } from "../../../../src/broker/cli/backup.ts";
import { exportRootKey, openCaFiles } from "../../../../src/broker/cli/ca.ts";
import { dataFolder } from "../../../../src/broker/data_folder.ts";
import { lockDataFolder } from "../../../../src/broker/data_folder_lock.ts";
import { openStore } from "../../../../src/broker/store/sqlite.ts";
import { refuseUnfinishedRestore } from "../../../../src/broker/unfinished_restore.ts";
import { silentLog } from "../../../../src/platform/log.ts";
import { enrolOne, ManualClock, temporaryFolder } from "../../../support/store_fixture.ts";

/** A data folder with a store, an authority and, where asked for, a connector; gives the root's fingerprint. */
async function dataDirOf(root: string, hasConnector = false): Promise<string> {
  const clock = new ManualClock();
  await using store = await openStore({ path: dataFolder(root).store, clock });
  if (hasConnector) await enrolOne(store, clock);
  await using ca = await openCa(root, { names: ["t.test"], log: silentLog });
  return ca.caFingerprint;
}

/** As a broker does. */
async function start(root: string): Promise<string> {
  using _lock = await lockDataFolder(root, false);
  await refuseUnfinishedRestore(dataFolder(root));
  await using store = await openStore({ path: dataFolder(root).store });
  const mayCreate = () => mayCreateAuthority(store);
  await using ca = await openCa(root, { names: ["t.test"], log: silentLog, mayCreate });
  return ca.caFingerprint;
}

/** Paths that are synced from now on. */
async function watchSyncs(t: TestContext, folder: string): Promise<string[]> {
  const synced: string[] = [];
  await using handle = await open(folder, "r");
  const prototype = Object.getPrototypeOf(handle) as { sync(this: { fd: number }): Promise<void> };
  const sync = prototype.sync;
  t.mock.method(prototype, "sync", function (this: { fd: number }) {
    synced.push(readlinkSync(`/proc/self/fd/${this.fd}`).replace(/\.[0-9a-f]{12}\./, "."));
    return sync.call(this);
  });
  return synced;
}

const LINUX = { skip: process.platform !== "linux" && "there is no /proc" };

test("a lost authority is never made anew where connectors trust it, and what a restore has staged stays", async (t) => {
  const root = join(temporaryFolder(t), "data");
  const before = await dataDirOf(root, true);
  const staged = join(root, "ca.0123456789ab.new");
  await rename(join(root, "ca"), staged);
  await assert.rejects(start(root), { code: "ca_missing" });
  assert.ok((await readdir(staged)).includes("root.key.pem"));
  assert.equal((await readdir(root)).includes("ca"), false);
  await rename(staged, join(root, "ca"));
  assert.equal(await start(root), before);
});

test("a lost authority is made anew where the store knows nobody", async (t) => {
  const root = join(temporaryFolder(t), "data");
  const before = await dataDirOf(root);
  await rm(join(root, "ca"), { recursive: true });
  assert.notEqual(await start(root), before);
});

test("restore: cut short after it has begun to replace, it keeps brokers away until it is run again", async (t) => {
  const folder = temporaryFolder(t);
  const [from, to, backup] = [join(folder, "from"), join(folder, "to"), join(folder, "backup")];
  const wanted = await dataDirOf(from, true);
  const replaced = await dataDirOf(to, true);
  await backupDataFolder(from, backup);
  // The last file of the backup cannot be read.
  mkdirSync(dataFolder(backup).adminToken);
  await assert.rejects(restoreDataFolder(backup, to), { code: "restore_refused" });
  await assert.rejects(start(to), { code: "restore_unfinished" });
  rmdirSync(dataFolder(backup).adminToken);
  await restoreDataFolder(backup, to);
  assert.equal(await start(to), wanted);
  assert.notEqual(wanted, replaced);
  assert.deepEqual((await readdir(to)).filter((name) => /new$|unfinished$/.test(name)), []);
});

test("restore: refused before it replaces anything, it leaves a folder that starts as before", async (t) => {
  const folder = temporaryFolder(t);
  const [from, to, backup] = [join(folder, "from"), join(folder, "to"), join(folder, "backup")];
  await dataDirOf(from, true);
  const before = await dataDirOf(to, true);
  await backupDataFolder(from, backup);
  {
    using _broker = await lockDataFolder(to, false);
    await assert.rejects(restoreDataFolder(backup, to), { code: "store_in_use" });
  }
  {
    await using _user = await openStore({ path: dataFolder(to).store });
    await assert.rejects(restoreDataFolder(backup, to), { code: "store_in_use" });
  }
  const stranger = new DatabaseSync(dataFolder(to).store);
  stranger.exec("BEGIN; SELECT count(*) FROM audit");
  await assert.rejects(restoreDataFolder(backup, to), { code: "store_in_use" });
  stranger.close();
  assert.equal(await start(to), before);
});

test("backup: waits while the authority is being changed, so that its files belong together", async (t) => {
  const folder = temporaryFolder(t);
  const [from, backup, other] = [join(folder, "from"), join(folder, "backup"), join(folder, "other")];
  await dataDirOf(from);
  const authority = new CaFolder(from, null);
  const backingUp: Promise<void>[] = [];
  await changing(authority, async () => {
    backingUp.push(backupDataFolder(from, backup));
    // Begun later, and it has less to do.
    await backupDataFolder(from, other, { isCaElsewhere: true });
    await renewIssuing(authority, Date.now());
  });
  await Promise.all(backingUp);
  const { issuing } = await new CaFolder(backup, null).read(Date.now());
  assert.equal(issuing.pem, (await authority.read(Date.now())).issuing.pem);
});

test("backup and restore: without the authority where another program signs, and only there", async (t) => {
  const folder = temporaryFolder(t);
  const [from, to, backup] = [join(folder, "from"), join(folder, "to"), join(folder, "backup")];
  const dataDir = async (root: string) => await (await openStore({ path: dataFolder(root).store })).close();
  for (const root of [from, to]) await dataDir(root);
  await assert.rejects(backupDataFolder(from, backup), { code: "backup_failed" });
  assert.deepEqual((await readdir(folder)).sort(), ["from", "to"]);
  await backupDataFolder(from, backup, { isCaElsewhere: true });
  await assert.rejects(restoreDataFolder(backup, to), { code: "restore_refused" });
  const { replacedStore, replacedCa } = await restoreDataFolder(backup, to, { isCaElsewhere: true });
  assert.notEqual(replacedStore, null);
  assert.equal(replacedCa, null);
  assert.equal((await readdir(to)).includes("ca"), false);
  await refuseUnfinishedRestore(dataFolder(to));
});

test("backup and restore: each file of the authority is on disk before they say so", LINUX, async (t) => {
  const folder = temporaryFolder(t);
  const [from, to, backup] = [join(folder, "from"), join(folder, "to"), join(folder, "backup")];
  await dataDirOf(from);
  const synced = await watchSyncs(t, folder);
  const files = (await readdir(join(from, "ca"))).filter((name) => name.endsWith(".pem"));
  await backupDataFolder(from, backup);
  for (const name of files) assert.ok(synced.includes(join(folder, ".backup.partial", "ca", name)), name);
  synced.length = 0;
  await restoreDataFolder(backup, to);
  for (const name of files) assert.ok(synced.includes(join(to, "ca.new", name)), name);
});

test("ca export-root-key: the copy and its name are on disk before the key is removed", LINUX, async (t) => {
  const folder = temporaryFolder(t);
  const [root, safe] = [join(folder, "data"), join(folder, "safe")];
  await dataDirOf(root);
  mkdirSync(safe);
  const synced = await watchSyncs(t, folder);
  await exportRootKey(await openCaFiles(root, "", {}), join(safe, "root.pem"), true);
  const removed = synced.findIndex((path) => path.includes(".root.key.pem"));
  const named = synced.indexOf(safe);
  assert.ok(named >= 0 && named < removed, synced.join("\n"));
});
