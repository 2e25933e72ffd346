import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { dataFolder } from "../../../src/broker/data_folder.ts";
import { lockDataFolder } from "../../../src/broker/data_folder_lock.ts";
import { checkDataFolderModes, checkDataFolderOwner } from "../../../src/broker/data_folder_modes.ts";
import { lockStore } from "../../../src/broker/store/store_lock.ts";
import { temporaryFolder } from "../../support/store_fixture.ts";

const POSIX = { skip: process.platform === "win32" && "modes are another matter there" };

test(
  "data folder: refused where anybody may write in it, or read a key or the admin token",
  POSIX,
  async (t) => {
    const folder = dataFolder(join(temporaryFolder(t), "data"));
    await checkDataFolderModes(folder);
    const key = join(folder.ca, "root.key.pem");
    mkdirSync(folder.ca, { recursive: true });
    for (const path of [key, folder.adminToken]) writeFileSync(path, "");
    for (
      const [path, good] of [[folder.root, 0o755], [folder.ca, 0o770], [key, 0o640], [
        folder.adminToken,
        0o600,
      ]] as const
    ) {
      chmodSync(path, good);
    }
    await checkDataFolderModes(folder);
    for (
      const [path, bad, good] of [
        [folder.root, 0o777, 0o700],
        [folder.ca, 0o703, 0o700],
        [key, 0o644, 0o600],
        [folder.adminToken, 0o604, 0o600],
      ] as const
    ) {
      chmodSync(path, bad);
      const details = { path, mode: bad.toString(8) };
      await assert.rejects(checkDataFolderModes(folder), { code: "data_folder_permissions", details });
      chmodSync(path, good);
    }
    await checkDataFolderModes(folder);
  },
);

test(
  "locks: readable by their owner alone, those of before as well, and held all the same",
  POSIX,
  async (t) => {
    const root = temporaryFolder(t);
    const mode = (name: string) => statSync(join(root, name)).mode & 0o777;
    using _folder = await lockDataFolder(root, false);
    assert.equal(mode("broker.lock"), 0o600);
    writeFileSync(join(root, "store.lock"), "");
    chmodSync(join(root, "store.lock"), 0o644);
    using _store = lockStore(join(root, "store"), "shared");
    assert.equal(mode("store.lock"), 0o600);
    assert.throws(() => lockStore(join(root, "store"), "exclusive"), { code: "store_in_use" });
    using _other = lockStore(join(root, "store"), "shared");
    assert.throws(() => lockStore(join(root, "store"), "exclusive"), { code: "store_in_use" });
  },
);

test("locks: a name that leads elsewhere changes nothing of what is there", POSIX, (t) => {
  const [root, elsewhere] = [temporaryFolder(t), join(temporaryFolder(t), "file")];
  writeFileSync(elsewhere, "");
  chmodSync(elsewhere, 0o644);
  symlinkSync(elsewhere, join(root, "store.lock"));
  using _lock = lockStore(join(root, "store"), "shared");
  assert.equal(statSync(elsewhere).mode & 0o777, 0o644);
});

test("locks: one that root makes is the folder's owner's", {
  skip: process.getuid?.() !== 0 && "only root can give files away",
}, (t) => {
  const root = temporaryFolder(t);
  chownSync(root, 12_345, 12_346);
  using _lock = lockStore(join(root, "store"), "shared");
  const { uid, gid } = statSync(join(root, "store.lock"));
  assert.deepEqual([uid, gid], [12_345, 12_346]);
});

test("data folder: root does not leave files of its own in another user's", {
  skip: process.getuid?.() !== 0 && "only root can give a folder away",
}, async (t) => {
  const root = temporaryFolder(t);
  await checkDataFolderOwner(root);
  await checkDataFolderOwner(join(root, "not-there"));
  chownSync(root, 12_345, 12_346);
  await assert.rejects(checkDataFolderOwner(root), { code: "data_folder_permissions" });
});
