import assert from "node:assert/strict";
import { chown, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { checkOwner, checkPermissions } from "../../../../src/connector/identity/state_folder.ts";

test(
  "state folder: root writes in none of another user",
  { skip: process.getuid?.() !== 0 && "only root may give a folder away" },
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "sallyport-state-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    await checkOwner(folder);
    await checkOwner(join(folder, "not-there"));
    await chown(folder, 12_345, 12_345);
    await assert.rejects(checkOwner(folder), { code: "state_permissions" });
    await checkPermissions(folder); // To look is allowed.
  },
);
