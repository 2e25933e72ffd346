import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_BACKEND_TLS } from "../../../../src/protocol/app.ts";
import { ADMIN, appSettings, temporaryStore } from "../../../support/store_fixture.ts";

test("apps: what is created comes back, each field", async (t) => {
  const { store, clock, changes } = await temporaryStore(t);
  const settings = appSettings("Wiki", {
    externalUrls: ["https://wiki.example.com/docs", "https://*.wiki.example.com/"],
    internalUrl: "https://10.0.0.5:8443/wiki",
    enabled: false,
    hostHeader: "user",
    timeouts: { connectMs: 1, responseHeadMs: 0, idleMs: 3, totalMs: 4, upgradedIdleMs: 0 },
    backendTls: {
      validate: false,
      ca: "PEM",
      serverName: "wiki.internal",
      minVersion: "TLSv1.3",
      clientCertificate: "wiki",
    },
    backendProtocol: "h2",
    maxRequestBytes: 1,
    maxConcurrent: 2,
    maxQueued: 0,
    requestHeaders: [{ action: "set", name: "X-A", value: "1" }, { action: "remove", name: "X-B" }],
    responseHeaders: [{ action: "add", name: "X-C", value: "" }],
    maintenance: { message: "Back soon", retryAfterS: 60 },
    compression: true,
    translateHeaders: false,
    translateRequestHeaders: true,
    translateLinks: true,
    cookies: { secure: true, httpOnly: true, sameSite: "lax" },
    forwardedHeader: false,
    balancing: "latency",
    affinity: "cookie",
    healthCheck: {
      type: "tcp",
      path: "/up",
      intervalMs: 1_000,
      timeoutMs: 100,
      healthyAfter: 1,
      unhealthyAfter: 1,
    },
  });
  const app = await store.createApp(ADMIN, settings);
  const record = { id: app.id, version: 1, createdAt: clock.time, updatedAt: clock.time, revision: 2 };
  assert.deepEqual(app, { ...settings, ...record });
  assert.deepEqual(await store.getApp(app.id), app);
  assert.deepEqual((await store.listApps({ limit: 10 })).items, [app]);
  assert.deepEqual(changes, [{ kind: "apps", groupIds: ["default"] }]);
});

test("apps: an update changes what is named, and the version", async (t) => {
  const { store, clock } = await temporaryStore(t);
  const app = await store.createApp(ADMIN, appSettings("Wiki"));
  clock.time += 7;
  const updated = await store.updateApp(ADMIN, app.id, { hostHeader: "user", name: undefined }, 1);
  assert.deepEqual(updated, { ...app, hostHeader: "user", version: 2, updatedAt: clock.time, revision: 3 });
  assert.deepEqual(await store.getApp(app.id), updated);
  await assert.rejects(store.updateApp(ADMIN, app.id, { hostHeader: "backend" }, 1), {
    code: "version_conflict",
  });
  await assert.rejects(store.deleteApp(ADMIN, app.id, 1), { code: "version_conflict" });
  await store.deleteApp(ADMIN, app.id, 2);
  await assert.rejects(store.getApp(app.id), { code: "not_found" });
});

test("apps: an update with the values it has is no change", async (t) => {
  const { store, changes } = await temporaryStore(t);
  const app = await store.createApp(ADMIN, appSettings("Wiki"));
  const same = {
    ...appSettings("Wiki"),
    backendTls: { serverName: undefined, minVersion: "TLSv1.2", validate: true },
  } as const;
  assert.deepEqual(await store.updateApp(ADMIN, app.id, same, 1), app);
  assert.equal(await store.groupRevision("default"), app.revision);
  assert.equal(changes.length, 1);
});

test("apps: unknown app or group is not found, and nothing is left behind", async (t) => {
  const { store } = await temporaryStore(t);
  await assert.rejects(store.createApp(ADMIN, appSettings("Wiki", { groupId: "x" })), { code: "not_found" });
  const app = await store.createApp(ADMIN, appSettings("Wiki"));
  await assert.rejects(store.updateApp(ADMIN, app.id, { groupId: "x" }), { code: "not_found" });
  await assert.rejects(store.updateApp(ADMIN, "x", {}), { code: "not_found" });
  await assert.rejects(store.deleteApp(ADMIN, "x"), { code: "not_found" });
  await assert.rejects(store.groupRevision("x"), { code: "not_found" });
  assert.deepEqual(await store.getApp(app.id), app);
});

test("apps: names are unique, whatever their case", async (t) => {
  const { store } = await temporaryStore(t);
  const wiki = await store.createApp(ADMIN, appSettings("Wiki"));
  const other = await store.createApp(ADMIN, appSettings("Other"));
  await assert.rejects(store.createApp(ADMIN, appSettings("WIKI", { externalUrls: [] })), {
    code: "name_taken",
  });
  await assert.rejects(store.updateApp(ADMIN, other.id, { name: "wiki" }), { code: "name_taken" });
  assert.equal((await store.updateApp(ADMIN, wiki.id, { name: "WIKI" })).name, "WIKI");
});

test("apps: no two have the same external URL; a refused change leaves everything as it was", async (t) => {
  const { store, changes } = await temporaryStore(t);
  const wiki = await store.createApp(ADMIN, appSettings("Wiki"));
  const other = await store.createApp(ADMIN, appSettings("Other"));
  const revision = await store.groupRevision("default");
  const taken = { code: "url_taken", details: { url: "https://WIKI.example.com:443", takenBy: wiki.id } };
  const patch = {
    name: "Third",
    externalUrls: ["https://third.example.com/", "https://WIKI.example.com:443"],
  };
  await assert.rejects(store.createApp(ADMIN, appSettings("Third", patch)), taken);
  await assert.rejects(store.updateApp(ADMIN, other.id, patch), taken);
  assert.deepEqual(await store.getApp(other.id), other);
  assert.equal(await store.groupRevision("default"), revision);
  assert.equal((await store.listAudit({ limit: 10 })).items.length, 2);
  assert.equal(changes.length, 2);
  await store.createApp(ADMIN, appSettings("Third", { externalUrls: ["https://third.example.com/"] }));
});

test("apps: the scheme tells no two URLs apart; one app may have both", async (t) => {
  const { store } = await temporaryStore(t);
  const [http, https] = ["http://two.example.com/", "https://two.example.com/"];
  const both = await store.createApp(ADMIN, appSettings("Both", { externalUrls: [http!, https!] }));
  for (const url of [http!, https!]) {
    await assert.rejects(store.createApp(ADMIN, appSettings("Other", { externalUrls: [url] })), {
      code: "url_taken",
      details: { url, takenBy: both.id },
    });
  }
  await store.updateApp(ADMIN, both.id, { externalUrls: [https!] });
  const other = await store.createApp(ADMIN, appSettings("Other"));
  await assert.rejects(store.updateApp(ADMIN, other.id, { externalUrls: [http!] }), { code: "url_taken" });
});

test("apps: a URL given up or deleted is free again", async (t) => {
  const { store } = await temporaryStore(t);
  const wiki = await store.createApp(ADMIN, appSettings("Wiki"));
  await store.updateApp(ADMIN, wiki.id, {
    externalUrls: ["https://wiki.example.com/b", "https://wiki.example.com/c"],
  });
  const other = await store.createApp(
    ADMIN,
    appSettings("Other", { externalUrls: ["https://wiki.example.com/"] }),
  );
  await store.deleteApp(ADMIN, wiki.id);
  await store.updateApp(ADMIN, other.id, { externalUrls: ["https://wiki.example.com/c"] });
});

test("apps: a list by group pages through that group alone", async (t) => {
  const { store } = await temporaryStore(t);
  const { id } = await store.createGroup(ADMIN, "Branch");
  const mine: string[] = [];
  for (let i = 0; i < 6; i++) {
    const app = await store.createApp(
      ADMIN,
      appSettings(`app${i}`, { groupId: i % 2 === 0 ? id : "default" }),
    );
    if (i % 2 === 0) mine.push(app.id);
  }
  const first = await store.listApps({ limit: 2, groupId: id });
  const second = await store.listApps({ limit: 2, groupId: id, cursor: first.next! });
  assert.deepEqual([...first.items, ...second.items].map((app) => app.id), mine.sort());
  assert.equal(second.next, null);
});

test("apps: the audit tells which fields changed, without certificate texts and passwords", async (t) => {
  const { store, clock } = await temporaryStore(t);
  const app = await store.createApp(ADMIN, appSettings("Wiki"));
  await store.updateApp(ADMIN, app.id, {
    internalUrl: "http://me:hunter2@10.0.0.6/",
    backendTls: { ...DEFAULT_BACKEND_TLS, ca: "-----BEGIN PRIVATE KEY-----" },
  });
  const [entry] = (await store.listAudit({ limit: 1 })).items;
  assert.deepEqual(entry, {
    id: 2,
    at: clock.time,
    actor: ADMIN,
    action: "app.update",
    target: app.id,
    details: {
      internalUrl: "http://***@10.0.0.6/",
      backendTls: { ...DEFAULT_BACKEND_TLS, ca: "27 characters" },
    },
  });
});
