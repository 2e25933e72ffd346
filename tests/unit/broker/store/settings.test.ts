import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_SETTINGS } from "../../../../src/broker/store/settings.ts";
import { ADMIN, temporaryStore } from "../../../support/store_fixture.ts";

test("settings: defaults, then what was changed; the same again is no change", async (t) => {
  const { store, changes } = await temporaryStore(t);
  assert.deepEqual(await store.getSettings(), { settings: DEFAULT_SETTINGS, given: {}, version: 1 });
  const changed = await store.updateSettings(ADMIN, { sessionLog: true, logLevel: undefined }, 1);
  assert.deepEqual(changed, {
    settings: { ...DEFAULT_SETTINGS, sessionLog: true },
    given: { sessionLog: true },
    version: 2,
  });
  assert.deepEqual(await store.getSettings(), changed);
  assert.deepEqual(await store.updateSettings(ADMIN, { sessionLog: true }), changed);
  await assert.rejects(store.updateSettings(ADMIN, { logLevel: "debug" }, 1), { code: "version_conflict" });
  assert.deepEqual(changes, [{ kind: "settings" }]);
  const { items } = await store.listAudit({ limit: 10 });
  assert.deepEqual(items.map(({ action, target, details }) => ({ action, target, details })), [
    { action: "settings.update", target: "settings", details: { sessionLog: true } },
  ]);
});

test("settings: one that is given its default is given all the same", async (t) => {
  const { store } = await temporaryStore(t);
  const { given, version } = await store.updateSettings(ADMIN, { logLevel: DEFAULT_SETTINGS.logLevel });
  assert.deepEqual([given, version], [{ logLevel: DEFAULT_SETTINGS.logLevel }, 2]);
  assert.equal((await store.updateSettings(ADMIN, { logLevel: DEFAULT_SETTINGS.logLevel })).version, 2);
});

test("audit: newest first, in pages that new entries do not shift; odd cursors are refused", async (t) => {
  const { store } = await temporaryStore(t);
  for (let i = 0; i < 5; i++) await store.createGroup({ kind: "system", id: "test" }, `Group ${i}`);
  const first = await store.listAudit({ limit: 2 });
  await store.createGroup(ADMIN, "Late");
  const second = await store.listAudit({ limit: 2, cursor: first.next! });
  const third = await store.listAudit({ limit: 2, cursor: second.next! });
  const names = [first, second, third].flatMap((page) => page.items.map((entry) => entry.details.name));
  assert.deepEqual(names, ["Group 4", "Group 3", "Group 2", "Group 1", "Group 0"]);
  assert.equal(third.next, null);
  assert.deepEqual(third.items[0]!.actor, { kind: "system", id: "test" });
  for (const cursor of ["x", "-1", "1e3", "9".repeat(30)]) {
    await assert.rejects(store.listAudit({ limit: 1, cursor }), { code: "value_invalid" });
  }
});
