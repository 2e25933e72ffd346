import assert from "node:assert/strict";
import { test } from "node:test";
import type { App } from "../../../../src/broker/model.ts";
import { createRouter, type Router, type RouterStore } from "../../../../src/broker/ingress/router.ts";
import { notFound } from "../../../../src/broker/store/errors.ts";
import type { Change } from "../../../../src/broker/store/port.ts";
import { silentLog } from "../../../../src/platform/log.ts";
import { appRecord } from "../../../support/app_record.ts";

/** A store of apps that fits on a screen; counts what is read and fails on demand. */
function memoryStore() {
  const apps = new Map<string, App>();
  const groups = new Map<string, { revision: number; removed: Map<string, number> }>();
  const listeners = new Set<(change: Change) => void>();
  const state = {
    reads: 0,
    appsRead: 0,
    failing: false,
    listeners,
    onPage: () => {},
    onGroup: (_id: string) => {},
  };
  const read = async <T>(body: () => T): Promise<T> => {
    state.reads++;
    await new Promise((resolve) => setImmediate(resolve));
    if (state.failing) throw new Error("store is down");
    return body();
  };
  const group = (id: string) => {
    if (!groups.has(id)) groups.set(id, { revision: 1, removed: new Map() });
    return groups.get(id)!;
  };
  const tell = (...groupIds: string[]) => {
    for (const listener of listeners) listener({ kind: "apps", groupIds });
  };
  const store: RouterStore = {
    async listApps({ limit, cursor }) {
      const page = await read(() => {
        const all = [...apps.values()];
        const from = cursor === undefined ? 0 : Number(cursor);
        const next = from + Math.min(limit, 2);
        return { items: all.slice(from, next), next: next < all.length ? String(next) : null };
      });
      state.onPage();
      return page;
    },
    appChanges: (groupId, since) =>
      read(() => {
        state.onGroup(groupId);
        const found = groups.get(groupId);
        if (found === undefined) throw notFound("group", groupId);
        const { revision, removed } = found;
        const changed = [...apps.values()].filter((app) => app.groupId === groupId && app.revision > since);
        state.appsRead += changed.length;
        const removedIds = [...removed].filter(([, at]) => at > since).map(([id]) => id);
        return { revision, full: since === 0, apps: changed, removedIds };
      }),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const put = (id: string, groupId = "default", host = `${id}.test`) => {
    const revision = ++group(groupId).revision;
    group(groupId).removed.delete(id);
    apps.set(id, appRecord({ id, groupId, revision, externalUrls: [`https://${host}`] }));
    tell(groupId);
  };
  const remove = (id: string) => {
    const { groupId } = apps.get(id)!;
    apps.delete(id);
    group(groupId).removed.set(id, ++group(groupId).revision);
    tell(groupId);
  };
  /** Moves an app, in one commit; gives the way to tell of it. */
  const move = (id: string, to: string) => {
    const app = apps.get(id)!;
    const from = app.groupId;
    group(from).removed.set(id, ++group(from).revision);
    group(to).removed.delete(id);
    apps.set(id, { ...app, groupId: to, revision: ++group(to).revision });
    return () => tell(from, to);
  };
  const removeGroup = (id: string) => {
    for (const app of apps.values()) if (app.groupId === id) remove(app.id);
    groups.delete(id);
  };
  return { store, state, put, remove, move, tell, removeGroup };
}

test("a router has all pages at the start and follows changes", async () => {
  const { store, put, remove } = memoryStore();
  for (let i = 0; i < 5; i++) put(`a${i}`, `g${i % 2}`);
  using router = await createRouter({ store, log: silentLog });
  assert.equal(router.current().size, 5);
  const before = router.current();
  put("b", "g1");
  remove("a0");
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
  // The first change, then all the rest.
  assert.ok(state.reads - reads <= 2, `${state.reads - reads} reads`);
});

test("of a group that changes only what is new is read; routes of other apps stay the same", async () => {
  const { store, state, put } = memoryStore();
  for (let i = 0; i < 50; i++) put(`a${i}`);
  using router = await createRouter({ store, log: silentLog });
  const before = router.current().match("a1.test", undefined, "/");
  put("a0", "default", "moved.test");
  put("b");
  await router.settled();
  assert.equal(state.appsRead, 2);
  assert.equal(router.current().size, 51);
  assert.equal(router.current().match("a0.test", undefined, "/"), undefined);
  assert.equal(router.current().match("moved.test", undefined, "/")?.app.id, "a0");
  assert.equal(router.current().match("a1.test", undefined, "/"), before);
});

test("what changes between two pages of the first read is not missed", async () => {
  const { store, state, put } = memoryStore();
  for (let i = 0; i < 4; i++) put(`a${i}`);
  // The first page is read; a later one then has an app of a higher revision than what the first one lacks.
  state.onPage = () => {
    state.onPage = () => {};
    put("a0", "default", "moved.test");
    put("a3", "default", "other.test");
  };
  using router = await createRouter({ store, log: silentLog });
  await router.settled();
  assert.equal(router.current().match("moved.test", undefined, "/")?.app.id, "a0");
  assert.equal(router.current().match("other.test", undefined, "/")?.app.id, "a3");
  assert.equal(router.current().match("a0.test", undefined, "/"), undefined);
});

test("an app that is moved while its groups are read is in the table once, at every moment", async () => {
  const cases: { changed: string[]; told: "at once" | "after the read" }[] = [
    { changed: ["old", "new"], told: "at once" },
    { changed: ["new", "old"], told: "at once" },
    { changed: ["old"], told: "after the read" },
    { changed: ["new"], told: "after the read" },
  ];
  for (const { changed, told } of cases) {
    const { store, state, put, move, tell } = memoryStore();
    put("a", "old");
    put("b", "new");
    const served: (string | undefined)[] = [];
    let router: Router | undefined;
    using made = router = await createRouter({
      store,
      log: { ...silentLog, warn: (_, fields) => assert.fail(JSON.stringify(fields)) },
      onRead: () => served.push(router?.current().match("a.test", undefined, "/")?.app.groupId),
    });
    let groupsRead = 0;
    state.onGroup = () => {
      // Between the first group and the second; or as the only one is read, which is told a moment later.
      if (++groupsRead !== changed.length) return;
      const tellOfMove = move("a", "new");
      if (told === "at once") tellOfMove();
      else queueMicrotask(() => queueMicrotask(() => process.nextTick(tellOfMove)));
    };
    tell(...changed);
    await made.settled();
    assert.deepEqual(served, [undefined, "new"], `${changed} ${told}`);
    assert.equal(made.current().size, 2);
  }
});

test("apps that are moved with every read keep no refresh from ending", async () => {
  const { store, state, put, move } = memoryStore();
  put("a", "g0");
  using router = await createRouter({ store, log: silentLog });
  let moves = 0;
  state.onGroup = () => move("a", `g${++moves % 2}`)();
  put("b", "g1");
  await router.settled();
  assert.equal(router.current().match("b.test", undefined, "/")?.app.id, "b");
  state.onGroup = () => {};
  await router.settled();
  assert.equal(router.current().match("a.test", undefined, "/")?.app.groupId, `g${moves % 2}`);
});

test("changes that move nothing are not waited for by those before", async () => {
  const { store, state, put } = memoryStore();
  using router = await createRouter({ store, log: silentLog });
  const { reads } = state;
  let more = 0;
  state.onGroup = () => put(`more${++more}`);
  put("a");
  await router.settled();
  assert.equal(state.reads - reads, 1);
  state.onGroup = () => {};
  await router.settled();
  assert.equal(router.current().size, 2);
});

test("who asks in the moment in which a change is taken up waits for no other change", async () => {
  const { store, put } = memoryStore();
  using router = await createRouter({ store, log: silentLog });
  put("a");
  await router.settled();
  await router.settled();
  assert.equal(router.current().size, 1);
});

test("rebuilding takes a fifth of the time, and half of it while somebody waits", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  t.after(() => t.mock.timers.reset());
  const { store, state, put } = memoryStore();
  const busyMs = 20;
  let now = 0;
  const pass = (ms: number) => {
    now += ms;
    t.mock.timers.tick(ms);
  };
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  using router = await createRouter({ store, log: silentLog, now: () => now });
  state.onGroup = () => void (now += busyMs);
  put("a");
  await router.settled();
  let { reads } = state;
  /** Whether a refresh has begun since this was asked last; it has ended when this resolves. */
  const refreshes = async () => {
    await turn();
    if (state.reads === reads) return false;
    await router.settled();
    reads = state.reads;
    return true;
  };

  put("b");
  pass(4 * busyMs - 1);
  assert.equal(await refreshes(), false);
  pass(1);
  assert.equal(await refreshes(), true);

  put("c");
  void router.settled();
  pass(busyMs - 1);
  assert.equal(await refreshes(), false);
  pass(1);
  assert.equal(await refreshes(), true);

  put("d");
  pass(busyMs);
  assert.equal(await refreshes(), false);
  void router.settled();
  assert.equal(await refreshes(), true);
  assert.equal(router.current().size, 4);
});

test("a rebuild within which the process stood still keeps the next one waiting for a second at most", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  t.after(() => t.mock.timers.reset());
  const { store, state, put } = memoryStore();
  let now = 0;
  using router = await createRouter({ store, log: silentLog, now: () => now });
  state.onGroup = () => void (now += 60_000);
  put("a");
  await router.settled();
  put("b");
  const settled = router.settled();
  now += 1_000;
  t.mock.timers.tick(1_000);
  await settled;
  assert.equal(router.current().size, 2);
});

test("a group that is deleted takes its apps along", async () => {
  const { store, put, removeGroup } = memoryStore();
  put("a", "g0");
  put("b", "g1");
  using router = await createRouter({ store, log: silentLog });
  removeGroup("g1");
  await router.settled();
  assert.equal(router.current().size, 1);
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

test("where one group cannot be read, those that were to be read after it are read, too, once it can", async () => {
  const { store, state, put, tell } = memoryStore();
  put("a", "g1");
  put("b", "g2");
  using router = await createRouter({ store, log: silentLog, retryMs: 5 });
  let failures = 0;
  state.onGroup = (id) => {
    if (id === "g1" && failures++ === 0) throw new Error("store is down");
  };
  put("c", "g2");
  await router.settled();
  const groups: string[] = [];
  const before = state.onGroup;
  failures = 0;
  state.onGroup = (id) => {
    before(id);
    groups.push(id);
  };
  tell("g1", "g2");
  await router.settled();
  assert.deepEqual([...new Set(groups)].sort(), ["g1", "g2"]);
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

test("a group of more apps than a call can have arguments is read at once", async () => {
  const apps = Array.from(
    { length: 150_000 },
    (_, at) => appRecord({ id: `a${at}`, revision: 1, externalUrls: [] }),
  );
  let tell: (change: Change) => void = () => {};
  const read: number[] = [];
  using router = await createRouter({
    store: {
      listApps: () => Promise.resolve({ items: [], next: null }),
      appChanges: () => Promise.resolve({ revision: 1, full: true, apps, removedIds: [] }),
      onChange: (listener) => {
        tell = listener;
        return () => {};
      },
    },
    log: { ...silentLog, error: (_, fields) => assert.fail(String(fields?.error)) },
    onRead: ({ length }) => read.push(length),
  });
  tell({ kind: "apps", groupIds: ["default"] });
  await router.settled();
  assert.deepEqual(read, [0, 150_000]);
});
