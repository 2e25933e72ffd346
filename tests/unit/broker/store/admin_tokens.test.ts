import assert from "node:assert/strict";
import { test } from "node:test";
import { ADMIN, temporaryStore } from "../../../support/store_fixture.ts";

test("admin tokens: create, find, get, list, revoke", async (t) => {
  const { store, clock } = await temporaryStore(t);
  const hash = "ad".repeat(32);
  const made = await store.createAdminToken(ADMIN, "laptop", hash);
  const record = { id: made.id, version: 1, createdAt: clock.time, updatedAt: clock.time };
  assert.deepEqual(made, { ...record, name: "laptop", lastUsedAt: null, revokedAt: null });
  assert.deepEqual(await store.getAdminToken(made.id), made);
  assert.deepEqual((await store.listAdminTokens({ limit: 5 })).items, [made]);
  assert.equal((await store.findAdminToken(hash))?.id, made.id);
  assert.equal(await store.findAdminToken("other"), null);
  await store.createAdminToken(ADMIN, "second", "another hash");
  const revoked = await store.revokeAdminToken(ADMIN, made.id);
  assert.deepEqual([revoked.revokedAt, revoked.version], [clock.time, 2]);
  assert.equal(await store.findAdminToken(hash), null);
  clock.time += 1;
  assert.deepEqual(await store.revokeAdminToken(ADMIN, made.id), revoked);
  assert.ok(!JSON.stringify(await store.listAudit({ limit: 10 })).includes(hash));
  await assert.rejects(store.getAdminToken("x"), { code: "not_found" });
  await assert.rejects(store.revokeAdminToken(ADMIN, "x"), { code: "not_found" });
});

test("admin tokens: the last use is noted once a minute, without audit entry or new version", async (t) => {
  const { store, clock } = await temporaryStore(t);
  const made = await store.createAdminToken(ADMIN, "laptop", "hash");
  const first = clock.time;
  assert.equal((await store.findAdminToken("hash"))?.lastUsedAt, first);
  clock.time += 59_999;
  assert.equal((await store.findAdminToken("hash"))?.lastUsedAt, first);
  clock.time += 1;
  assert.equal((await store.findAdminToken("hash"))?.lastUsedAt, clock.time);
  assert.deepEqual(await store.getAdminToken(made.id), { ...made, lastUsedAt: clock.time });
  assert.equal((await store.listAudit({ limit: 10 })).items.length, 1);
});

test("admin tokens: the last good one is kept, also where two are revoked at once", async (t) => {
  const { store } = await temporaryStore(t);
  const first = await store.createAdminToken(ADMIN, "first", "1");
  await assert.rejects(store.revokeAdminToken(ADMIN, first.id), { code: "admin_token_last" });
  const second = await store.createAdminToken(ADMIN, "second", "2");
  const outcomes = await Promise.allSettled(
    [first, second].map(({ id }) => store.revokeAdminToken(ADMIN, id)),
  );
  assert.deepEqual(outcomes.map(({ status }) => status), ["fulfilled", "rejected"]);
  assert.equal((await store.findAdminToken("2"))?.id, second.id);
  await store.revokeAdminToken(ADMIN, first.id); // It is already.
});

test("admin tokens: replaced all at once, each with its audit entry", async (t) => {
  const { store } = await temporaryStore(t);
  for (const name of ["1", "2"]) await store.createAdminToken(ADMIN, name, name);
  const made = await store.replaceAdminTokens(ADMIN, "new", "3");
  assert.deepEqual(await Promise.all(["1", "2"].map((hash) => store.findAdminToken(hash))), [null, null]);
  assert.equal((await store.findAdminToken("3"))?.id, made.id);
  const actions = (await store.listAudit({ limit: 3 })).items.map(({ action }) => action);
  assert.deepEqual(actions, ["admin_token.revoke", "admin_token.revoke", "admin_token.create"]);
});
