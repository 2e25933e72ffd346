import assert from "node:assert/strict";
import { chmodSync, statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { type Log, type LogFields, silentLog } from "../../../../src/platform/log.ts";
import { STORE_CODES, StoreError } from "../../../../src/broker/store/errors.ts";
import { Turnstile } from "../../../../src/broker/store/turnstile.ts";
import { ADMIN, appSettings, temporaryStore } from "../../../support/store_fixture.ts";

test("store: calls made at once are served one after another, each whole", async (t) => {
  const { store } = await temporaryStore(t);
  const { id } = await store.createApp(ADMIN, appSettings("Wiki"));
  const attempts = Array.from({ length: 50 }, (_, i) => {
    return store.updateApp(ADMIN, id, { internalUrl: `http://10.0.0.1:${i + 1}/` }, 1);
  });
  const results = await Promise.allSettled(attempts);
  assert.equal(results.filter((result) => result.status === "fulfilled").length, 1);
  assert.equal((await store.getApp(id)).version, 2);
  await Promise.all(
    Array.from({ length: 50 }, (_, i) => store.updateSettings(ADMIN, { latestVersion: `1.${i}` })),
  );
  assert.equal((await store.getSettings()).version, 51);
  assert.equal((await store.listAudit({ limit: 1_000 })).items.length, 2 + 50);
});

test("store: of changes made at once, one that fails half-way undoes itself alone", async (t) => {
  const { store } = await temporaryStore(t);
  const results = await Promise.allSettled(
    Array.from({ length: 60 }, (_, i) => {
      const externalUrls = [`https://app${i % 20}.example.com/`];
      return store.createApp(ADMIN, appSettings(`app${i}`, { externalUrls }));
    }),
  );
  assert.deepEqual(results.map(({ status }) => status === "fulfilled"), results.map((_, i) => i < 20));
  for (const result of results) {
    if (result.status === "rejected") assert.equal(result.reason.code, "url_taken");
  }
  assert.equal((await store.listApps({ limit: 100 })).items.length, 20);
  assert.equal((await store.listAudit({ limit: 100 })).items.length, 20);
  assert.equal(await store.groupRevision("default"), 21);
});

test("store: long queues of changes and reads leave the event loop its turns", async (t) => {
  const { store } = await temporaryStore(t);
  const turnsDuring = async (calls: Promise<unknown>[]) => {
    let turns = 0;
    let done = false;
    const count = () => {
      turns++;
      if (!done) setImmediate(count);
    };
    setImmediate(count);
    await Promise.all(calls);
    done = true;
    return turns;
  };
  const changes = Array.from(
    { length: 320 },
    (_, i) => store.updateSettings(ADMIN, { latestVersion: `1.${i}` }),
  );
  assert.ok(await turnsDuring(changes) >= 10);
  assert.ok(await turnsDuring(Array.from({ length: 50 }, () => store.getSettings())) >= 40);
});

test("store: a read during a change sees what was before, and after it what is now", async (t) => {
  const { store } = await temporaryStore(t);
  const change = store.updateSettings(ADMIN, { latestVersion: "2" });
  const during = await store.getSettings();
  assert.ok(during.settings.latestVersion === "" || during.version === 2);
  await change;
  assert.equal((await store.getSettings()).settings.latestVersion, "2");
});

test("store: listeners hear of a change when it can be read; one that throws is logged and harms nobody", async (t) => {
  const lines: [string, LogFields | undefined][] = [];
  const log: Log = { ...silentLog, error: (message, fields) => void lines.push([message, fields]) };
  const { store, changes } = await temporaryStore(t, { log });
  const failure = new Error("listener");
  store.onChange(() => {
    throw failure;
  });
  let read: Promise<number> | undefined;
  const stop = store.onChange(() => {
    read = store.getSettings().then(({ version }) => version);
  });
  await store.updateSettings(ADMIN, { latestVersion: "2" });
  assert.equal(await read, 2);
  assert.equal(lines[0]![1]!.error, failure);
  stop();
  stop();
  read = undefined;
  await store.updateSettings(ADMIN, { latestVersion: "3" });
  assert.equal(read, undefined);
  assert.equal(changes.length, 2);
});

test("store: a database locked by another program is unavailable for now; nothing is half applied", async (t) => {
  const { store, path } = await temporaryStore(t, { lockTimeoutMs: 10 });
  const app = await store.createApp(ADMIN, appSettings("Wiki"));
  await store.createAdminToken(ADMIN, "laptop", "hash");
  const other = new DatabaseSync(path);
  other.exec("BEGIN IMMEDIATE");
  const unavailable = { code: "store_unavailable", retryable: true };
  await assert.rejects(store.updateApp(ADMIN, app.id, { enabled: false }), unavailable);
  await assert.rejects(store.noteConnectorSeen("x", { at: 1 }), unavailable);
  assert.deepEqual(await store.getApp(app.id), app);
  assert.equal((await store.findAdminToken("hash"))?.lastUsedAt, null);
  assert.equal(await store.ping(), true);
  other.exec("ROLLBACK");
  other.close();
  assert.equal((await store.updateApp(ADMIN, app.id, { enabled: false })).version, 2);
});

test("store: who waits for a lock of another program keeps nobody else, and goes on once it is free", async (t) => {
  const { store, path } = await temporaryStore(t, { lockTimeoutMs: 30_000 });
  const other = new DatabaseSync(path);
  other.exec("BEGIN IMMEDIATE");
  let isMade = false;
  const making = store.createGroup(ADMIN, "A").finally(() => isMade = true);
  for (let i = 0; i < 20; i++) {
    await new Promise((resolve) => setImmediate(resolve));
    await store.getSettings();
  }
  assert.equal(isMade, false);
  other.exec("ROLLBACK");
  other.close();
  assert.equal((await making).name, "A");
});

test("store: once somebody has waited for a lock in vain, nobody waits again until it is free", async (t) => {
  let failures = 0;
  const { store, path } = await temporaryStore(t, { lockTimeoutMs: 3_000, onFailure: () => failures += 1 });
  const other = new DatabaseSync(path);
  other.exec("BEGIN IMMEDIATE");
  await assert.rejects(store.createGroup(ADMIN, "A"), { code: "store_unavailable" });
  const notes = Array.from({ length: 200 }, () => store.noteConnectorSeen("x", { at: 1 }));
  let turns = 0;
  const turning = setInterval(() => turns += 1, 5);
  t.after(() => clearInterval(turning));
  await Promise.allSettled(notes);
  // Ten seconds; had each waited it would be ten minutes, and three and more would show.
  assert.ok(turns < 2_000, `${turns} turns: each has waited`);
  assert.equal(failures, 201);
  assert.match((await store.writeTrouble())!, /locked/);
  other.exec("ROLLBACK");
  other.close();
  assert.equal(await store.writeTrouble(), null);
  await store.createGroup(ADMIN, "A");
});

test("store: after close, calls made before have ended and later ones fail", async (t) => {
  const { store } = await temporaryStore(t);
  const calls = Array.from({ length: 20 }, (_, i) => store.createGroup(ADMIN, `Group ${i}`));
  const reads = Array.from({ length: 20 }, () => store.listGroups({ limit: 1 }));
  const closed = store.close();
  assert.equal((await Promise.all(calls)).length, 20);
  await Promise.all(reads);
  await closed;
  await store.close();
  await assert.rejects(store.createGroup(ADMIN, "Late"), { code: "store_unavailable", retryable: false });
  await assert.rejects(store.getGroup("default"), { code: "store_unavailable", retryable: false });
  await assert.rejects(store.noteConnectorSeen("x", { at: 1 }), { code: "store_unavailable" });
  assert.equal(await store.ping(), false);
});

test("store: it comes back as it was, and a file that others may read is closed to them", async (t) => {
  const { store, path } = await temporaryStore(t);
  const app = await store.createApp(ADMIN, appSettings("Wiki"));
  await store.close();
  chmodSync(path, 0o644);
  const again = (await temporaryStore(t, { path })).store;
  assert.deepEqual(await again.getApp(app.id), app);
  if (process.platform !== "win32") assert.equal(statSync(path).mode & 0o777, 0o600);
});

test("store errors: only an unavailable store is worth trying again", () => {
  for (const code of STORE_CODES) {
    assert.equal(new StoreError(code, "x").retryable, code === "store_unavailable");
  }
});

test("turnstile: one at a time, in order; beyond the limit nobody waits", async () => {
  const turnstile = new Turnstile(2);
  const order: string[] = [];
  await turnstile.enter();
  const waiting = ["b", "c"].map((name) => turnstile.enter().then(() => order.push(name)));
  await assert.rejects(turnstile.enter(), { code: "store_unavailable", retryable: true });
  const last = turnstile.enter(Infinity).then(() => order.push("last"));
  assert.deepEqual(order, []);
  for (const turn of [...waiting, last]) {
    turnstile.leave();
    await turn;
  }
  assert.deepEqual(order, ["b", "c", "last"]);
  turnstile.leave();
  await turnstile.enter();
});
