import assert from "node:assert/strict";
import { chown, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { checkPermissions } from "../../../../src/connector/identity/state_folder.ts";

test(
  "state folder: as root, one of another user is refused",
  { skip: process.getuid?.() !== 0 && "only root may give a folder away" },
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "sallyport-state-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    await checkPermissions(folder);
    await chown(folder, 12_345, 12_345);
    await assert.rejects(checkPermissions(folder), { code: "state_permissions" });
  },
);
