import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { lockDataFolder } from "../../../src/broker/data_folder_lock.ts";
import { temporaryFolder } from "../../support/store_fixture.ts";

test("data folder: one broker at a time, unless all of them inherit their sockets", async (t) => {
  const root = join(temporaryFolder(t), "data");
  const inUse = { code: "store_in_use", details: { path: root } };
  {
    using _alone = await lockDataFolder(root, false);
    await assert.rejects(lockDataFolder(root, false), inUse);
    await assert.rejects(lockDataFolder(root, true), inUse);
  }
  using _old = await lockDataFolder(root, true);
  using _new = await lockDataFolder(root, true);
  await assert.rejects(lockDataFolder(root, false), inUse);
});

test("data folder: a lock that cannot be taken for another reason is not said to be another broker's", async (t) => {
  const root = join(temporaryFolder(t), "data");
  // SQLite cannot make its journal then, as on a full disk.
  mkdirSync(join(root, "broker.lock-journal"), { recursive: true, mode: 0o700 });
  await assert.rejects(lockDataFolder(root, false), { code: "store_unavailable" });
});
