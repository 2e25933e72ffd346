import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_GROUP_ID, DEFAULT_GROUP_NAME } from "../../../../src/broker/model.ts";
import { ADMIN, appSettings, enrolOne, temporaryStore } from "../../../support/store_fixture.ts";

test("groups: a new store has the default group, which can be renamed but not deleted", async (t) => {
  const { store } = await temporaryStore(t);
  const group = await store.getGroup(DEFAULT_GROUP_ID);
  assert.equal(group.name, DEFAULT_GROUP_NAME);
  assert.equal(group.version, 1);
  await assert.rejects(store.deleteGroup(ADMIN, DEFAULT_GROUP_ID), { code: "group_undeletable" });
  assert.equal((await store.updateGroup(ADMIN, DEFAULT_GROUP_ID, "Main", 1)).version, 2);
  await assert.rejects(store.deleteGroup(ADMIN, DEFAULT_GROUP_ID), { code: "group_undeletable" });
});

test("groups: create, get, update, delete", async (t) => {
  const { store, clock, changes } = await temporaryStore(t);
  const made = await store.createGroup(ADMIN, "Branch");
  assert.deepEqual(made, {
    id: made.id,
    version: 1,
    createdAt: clock.time,
    updatedAt: clock.time,
    name: "Branch",
  });
  assert.deepEqual(await store.getGroup(made.id), made);
  clock.time += 5;
  const renamed = await store.updateGroup(ADMIN, made.id, "Branch 2", 1);
  assert.deepEqual(renamed, { ...made, version: 2, updatedAt: clock.time, name: "Branch 2" });
  assert.deepEqual(await store.getGroup(made.id), renamed);
  await store.deleteGroup(ADMIN, made.id, 2);
  await assert.rejects(store.getGroup(made.id), { code: "not_found" });
  assert.deepEqual(changes, [{ kind: "groups" }, { kind: "groups" }, { kind: "groups" }]);
});

test("groups: the same name again changes nothing and is not audited", async (t) => {
  const { store, changes } = await temporaryStore(t);
  const made = await store.createGroup(ADMIN, "Branch");
  assert.deepEqual(await store.updateGroup(ADMIN, made.id, "Branch"), made);
  assert.equal((await store.listAudit({ limit: 10 })).items.length, 1);
  assert.equal(changes.length, 1);
});

test("groups: another version than expected is a conflict, and nothing changes", async (t) => {
  const { store } = await temporaryStore(t);
  const made = await store.createGroup(ADMIN, "Branch");
  await assert.rejects(store.updateGroup(ADMIN, made.id, "X", 2), { code: "version_conflict" });
  await assert.rejects(store.deleteGroup(ADMIN, made.id, 2), { code: "version_conflict" });
  assert.deepEqual(await store.getGroup(made.id), made);
});

test("groups: two groups differ in more than case or composition of the name", async (t) => {
  const { store } = await temporaryStore(t);
  const made = await store.createGroup(ADMIN, "Zürich");
  await assert.rejects(store.createGroup(ADMIN, "ZU\u0308RICH"), {
    code: "name_taken",
    details: { name: "ZU\u0308RICH", takenBy: made.id },
  });
  await assert.rejects(store.updateGroup(ADMIN, made.id, "default"), { code: "name_taken" });
  assert.equal((await store.updateGroup(ADMIN, made.id, "ZÜRICH")).name, "ZÜRICH");
});

test("groups: one with apps or connectors is not deleted; tokens go with it", async (t) => {
  const { store, clock } = await temporaryStore(t);
  const { id } = await store.createGroup(ADMIN, "Branch");
  const app = await store.createApp(ADMIN, appSettings("Wiki", { groupId: id }));
  await assert.rejects(store.deleteGroup(ADMIN, id), { code: "group_not_empty" });
  await store.deleteApp(ADMIN, app.id);
  const { token, connector } = await enrolOne(store, clock, "a", id);
  await assert.rejects(store.deleteGroup(ADMIN, id), { code: "group_not_empty" });
  await store.deleteConnector(ADMIN, connector.id);
  await store.deleteGroup(ADMIN, id);
  await assert.rejects(store.getEnrolmentToken(token.id), { code: "not_found" });
  const [entry] = (await store.listAudit({ limit: 1 })).items;
  assert.deepEqual(entry!.details, { name: "Branch", deletedTokenIds: [token.id] });
});

test("groups: unknown ids are not found", async (t) => {
  const { store } = await temporaryStore(t);
  const expected = { code: "not_found", details: { kind: "group", id: "x" } };
  await assert.rejects(store.getGroup("x"), expected);
  await assert.rejects(store.updateGroup(ADMIN, "x", "y"), expected);
  await assert.rejects(store.deleteGroup(ADMIN, "x"), expected);
});

test("groups: pages hold each record once, whatever is inserted or deleted meanwhile", async (t) => {
  const { store } = await temporaryStore(t);
  const made: string[] = [];
  for (let i = 0; i < 7; i++) made.push((await store.createGroup(ADMIN, `Group ${i}`)).id);
  const seen: string[] = [];
  let cursor: string | undefined;
  for (let page = 0;; page++) {
    const { items, next } = await store.listGroups({ limit: 3, ...(cursor === undefined ? {} : { cursor }) });
    seen.push(...items.map((group) => group.id));
    if (next === null) break;
    cursor = next;
    await store.createGroup(ADMIN, `Late ${page}`);
    await store.deleteGroup(ADMIN, items[0]!.id);
  }
  assert.equal(new Set(seen).size, seen.length);
  for (const id of [...made, DEFAULT_GROUP_ID]) assert.ok(seen.includes(id), id);
});

test("groups: a page that is exactly full has no next one; odd limits are refused", async (t) => {
  const { store } = await temporaryStore(t);
  await store.createGroup(ADMIN, "Branch");
  const { items, next } = await store.listGroups({ limit: 2 });
  assert.equal(items.length, 2);
  assert.equal(next, null);
  for (const limit of [0, 1_001, 1.5, NaN]) {
    await assert.rejects(store.listGroups({ limit }), { code: "value_invalid" });
  }
});
