import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { makeFolder } from "../../../src/platform/make_folder.ts";

test("makeFolder: makes what is missing with its mode, and says whether anything was", async (t) => {
  const root = mkdtempSync(join(tmpdir(), "sallyport-folder-"));
  t.after(() => rmSync(root, { recursive: true }));
  const path = join(root, "a", "b");
  assert.equal(await makeFolder(path, 0o700), true);
  assert.equal(await makeFolder(path, 0o700), false);
  if (process.platform !== "win32") assert.equal(statSync(join(root, "a")).mode & 0o777, 0o700);
  writeFileSync(join(root, "file"), "");
  await assert.rejects(makeFolder(join(root, "file"), 0o700), { code: "ENOTDIR" });
  await assert.rejects(makeFolder(join(root, "file", "below"), 0o700), { code: "ENOTDIR" });
});

test("makeFolder: a place without room for new names is an error, not an endless attempt", {
  skip: process.platform !== "linux" && "there is no /proc",
}, async () => {
  await assert.rejects(makeFolder("/proc/sallyport/data", 0o700), { code: "ENOENT" });
});
