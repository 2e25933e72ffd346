import assert from "node:assert/strict";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { adminTokenSha256, createAdminToken } from "../../../../src/broker/admin/admin_token.ts";
import { AdminTokenFileError } from "../../../../src/broker/admin/errors.ts";
import { ensureFirstAdminToken, resetAdminTokens } from "../../../../src/broker/admin/first_token.ts";
import { silentLog } from "../../../../src/platform/log.ts";
import { ADMIN, temporaryFolder, temporaryStore } from "../../../support/store_fixture.ts";

test("first admin token: written once, private, and good; a second start makes none", async (t) => {
  const { store } = await temporaryStore(t);
  const folder = temporaryFolder(t);
  const path = join(folder, "admin-token");
  assert.equal(await ensureFirstAdminToken(store, path, silentLog), true);
  const token = (await readFile(path, "utf8")).trim();
  assert.ok(await store.findAdminToken(adminTokenSha256(token)));
  if (process.platform !== "win32") assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.equal(await ensureFirstAdminToken(store, path, silentLog), false);
  assert.equal((await readFile(path, "utf8")).trim(), token);
  assert.deepEqual(await readdir(folder), ["admin-token"]);
});

test("first admin token: a file left by a start that died before the store knew it is taken up", async (t) => {
  const { store } = await temporaryStore(t);
  const path = join(temporaryFolder(t), "admin-token");
  const { token } = createAdminToken();
  await writeFile(path, `${token}\n`, { mode: 0o600 });
  assert.equal(await ensureFirstAdminToken(store, path, silentLog), true);
  assert.ok(await store.findAdminToken(adminTokenSha256(token)));
});

test("first admin token: something else under its name is never overwritten", async (t) => {
  const { store } = await temporaryStore(t);
  const folder = temporaryFolder(t);
  const path = join(folder, "admin-token");
  await writeFile(path, "precious");
  const isRefusal = (error: unknown) =>
    error instanceof AdminTokenFileError && error.code === "admin_token_file_invalid";
  await assert.rejects(ensureFirstAdminToken(store, path, silentLog), isRefusal);
  assert.equal(await readFile(path, "utf8"), "precious");
  await mkdir(join(folder, "folder"));
  await assert.rejects(ensureFirstAdminToken(store, join(folder, "folder"), silentLog), isRefusal);
  await assert.rejects(ensureFirstAdminToken(store, join(folder, "no", "where"), silentLog), isRefusal);
  assert.equal((await store.listAdminTokens({ limit: 1 })).items.length, 0);
});

test("first admin token: none is made where the store has one, and the last one cannot be revoked", async (t) => {
  const { store } = await temporaryStore(t);
  const path = join(temporaryFolder(t), "admin-token");
  const made = await store.createAdminToken(ADMIN, "old", createAdminToken().sha256);
  await assert.rejects(store.revokeAdminToken(ADMIN, made.id), { code: "admin_token_last" });
  assert.equal(await ensureFirstAdminToken(store, path, silentLog), false);
});

test("admin tokens reset: a new one in the file, private, and none of before is good", async (t) => {
  const { store } = await temporaryStore(t);
  const path = join(temporaryFolder(t), "admin-token");
  await ensureFirstAdminToken(store, path, silentLog);
  const before = (await readFile(path, "utf8")).trim();
  await resetAdminTokens(store, path);
  const token = (await readFile(path, "utf8")).trim();
  assert.equal(await store.findAdminToken(adminTokenSha256(before)), null);
  assert.ok(await store.findAdminToken(adminTokenSha256(token)));
  if (process.platform !== "win32") assert.equal((await stat(path)).mode & 0o777, 0o600);
});
