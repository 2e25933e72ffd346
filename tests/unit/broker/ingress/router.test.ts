import assert from "node:assert/strict";
import { test } from "node:test";
import type { App } from "../../../../src/broker/model.ts";
import { createRouter, type RouterStore } from "../../../../src/broker/ingress/router.ts";
import type { Change } from "../../../../src/broker/store/port.ts";
import { silentLog } from "../../../../src/platform/log.ts";
import { appRecord } from "../../../support/app_record.ts";

/** A store of apps that fits on a screen; counts what is read and fails on demand. */
function memoryStore() {
  const apps = new Map<string, App>();
  const listeners = new Set<(change: Change) => void>();
  const state = { reads: 0, failing: false, apps, listeners };
  const store: RouterStore = {
    async listApps({ limit, cursor, groupId }) {
      state.reads++;
      await new Promise((resolve) => setImmediate(resolve));
      if (state.failing) throw new Error("store is down");
      const all = [...apps.values()].filter((app) => groupId === undefined || app.groupId === groupId);
      const from = cursor === undefined ? 0 : Number(cursor);
      const next = from + Math.min(limit, 2);
      return { items: all.slice(from, next), next: next < all.length ? String(next) : null };
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const put = (id: string, groupId = "default", host = `${id}.test`) => {
    apps.set(id, appRecord({ id, groupId, externalUrls: [`https://${host}`] }));
    for (const listener of listeners) listener({ kind: "apps", groupIds: [groupId] });
  };
  return { store, state, put };
}

test("a router has all pages at the start and follows changes", async () => {
  const { store, state, put } = memoryStore();
  for (let i = 0; i < 5; i++) put(`a${i}`, `g${i % 2}`);
  using router = await createRouter({ store, log: silentLog });
  assert.equal(router.current().size, 5);
  const before = router.current();
  put("b", "g1");
  state.apps.delete("a0");
  for (const listener of state.listeners) listener({ kind: "apps", groupIds: ["g0"] });
  await router.settled();
  assert.equal(before.size, 5, "a table never changes");
  assert.equal(router.current().match("b.test", undefined, "/")?.app.id, "b");
  assert.equal(router.current().match("a0.test", undefined, "/"), undefined);
  assert.equal(router.current().size, 5);
});

test("a burst of changes is taken up together", async () => {
  const { store, state, put } = memoryStore();
  using router = await createRouter({ store, log: silentLog });
  const reads = state.reads;
  for (let i = 0; i < 200; i++) put(`a${i}`);
  await router.settled();
  assert.equal(router.current().size, 200);
  // Pages of two: 100 reads for one pass over the whole. Two passes at most: the first change, then all the rest.
  assert.ok(state.reads - reads <= 201, `${state.reads - reads} reads`);
});

test("while the store is down the last table stays, and the change is taken up once it is back", async () => {
  const { store, state, put } = memoryStore();
  put("a");
  const failed = Promise.withResolvers<void>();
  const log = { ...silentLog, error: () => failed.resolve() };
  using router = await createRouter({ store, log, retryMs: 5 });
  state.failing = true;
  put("b");
  let isSettled = false;
  const settled = router.settled().then(() => isSettled = true);
  await failed.promise;
  assert.equal(isSettled, false);
  assert.equal(router.current().size, 1);
  state.failing = false;
  await settled;
  assert.equal(router.current().size, 2);
  put("c");
  await router.settled();
  assert.equal(router.current().size, 3);
});

test("a router that cannot read the store does not start, and leaves no listener", async () => {
  const { store, state } = memoryStore();
  state.failing = true;
  await assert.rejects(createRouter({ store, log: silentLog }), /store is down/);
  assert.equal(state.listeners.size, 0);
});

test("a closed router listens no more", async () => {
  const { store, state, put } = memoryStore();
  const router = await createRouter({ store, log: silentLog });
  router.close();
  put("a");
  await router.settled();
  assert.equal(router.current().size, 0);
  assert.equal(state.listeners.size, 0);
});
