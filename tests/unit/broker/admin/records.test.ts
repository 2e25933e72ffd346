import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_TRAFFIC } from "../../../../src/broker/app_traffic.ts";
import { DEFAULT_BACKEND_TLS, DEFAULT_HEALTH_CHECK, DEFAULT_TIMEOUTS } from "../../../../src/protocol/app.ts";
import { parseEnrolmentToken } from "../../../../src/protocol/enrolment.ts";
import { enrolmentSecretSha256 } from "../../../../src/broker/enrol/secret.ts";
import { adminFixture, assertProblem, TOKEN_FACTS } from "../../../support/admin_fixture.ts";
import { ADMIN, appSettings, enrolOne, newConnector } from "../../../support/store_fixture.ts";

test("groups: created, listed, got, renamed under If-Match, deleted", async (t) => {
  const { call } = await adminFixture(t);
  const made = await call("POST", "groups", { name: "Berlin" });
  assert.equal(made.status, 201);
  assert.equal(made.headers.get("location"), `/api/v1/groups/${made.body.id}`);
  assert.equal(made.headers.get("etag"), made.body.etag);

  const listed = await call("GET", "groups");
  assert.deepEqual(listed.body.items.map(({ name }: { name: string }) => name).sort(), ["Berlin", "Default"]);

  const path = `groups/${made.body.id}`;
  const ifMatch = { "If-Match": made.body.etag };
  const renamed = await call("PATCH", path, { name: "Potsdam" }, ifMatch);
  assert.equal(renamed.body.name, "Potsdam");
  assert.notEqual(renamed.body.etag, made.body.etag);
  assertProblem(await call("PATCH", path, { name: "Bonn" }, ifMatch), 412, "version_conflict");
  assertProblem(await call("DELETE", path, undefined, ifMatch), 412, "version_conflict");
  assert.equal((await call("GET", path)).body.name, "Potsdam");
  assert.equal((await call("DELETE", path, undefined, { "If-Match": renamed.body.etag })).status, 204);
  assertProblem(await call("GET", path), 404, "not_found");
  assertProblem(await call("DELETE", "groups/default"), 409, "group_undeletable");
  assertProblem(await call("POST", "groups", { name: "Default" }), 409, "name_taken");
});

test("If-Match: a star, a list with the version and nothing match; weak, foreign and old tags do not", async (t) => {
  const { call } = await adminFixture(t);
  const { body } = await call("POST", "groups", { name: "Berlin" });
  const path = `groups/${body.id}`;
  let etag: string = body.etag;
  let count = 0;
  const rename = async (header: string) => {
    const answer = await call("PATCH", path, { name: `Berlin ${count++}` }, { "If-Match": header });
    etag = answer.headers.get("etag") ?? etag;
    return answer;
  };
  assert.equal((await rename("*")).status, 200);
  assert.equal((await rename(`"77", ${etag}`)).status, 200);
  for (const header of [`W/${etag}`, '"abc"', '"77"', '"77", "78"', "1", ""]) {
    assertProblem(await rename(header), 412, "version_conflict");
  }
});

test("lists: limit and cursor walk through all, Link says the same as next, unknown parameters are refused", async (t) => {
  const { call } = await adminFixture(t);
  for (let i = 0; i < 6; i++) await call("POST", "groups", { name: `G${i}` });
  const names: string[] = [];
  let path: string | null = "groups?limit=3";
  let pages = 0;
  while (path !== null) {
    const { body, headers } = await call("GET", path);
    pages += 1;
    names.push(...body.items.map(({ name }: { name: string }) => name));
    const link = /^<\/api\/v1\/([^>]+)>; rel="next"$/.exec(headers.get("link") ?? "")?.[1] ?? null;
    assert.equal(link, body.next === null ? null : `groups?limit=3&cursor=${body.next}`);
    path = link;
  }
  assert.equal(pages, 3);
  assert.deepEqual(names.sort(), ["Default", "G0", "G1", "G2", "G3", "G4", "G5"]);
  for (const query of ["limit=0", "limit=1001", "limit=x", "page=2", "cursor="]) {
    assertProblem(await call("GET", `groups?${query}`), 400, "invalid_request");
  }
  assertProblem(await call("GET", "audit?cursor=nonsense"), 400, "value_invalid");
});

test("apps: defaults are filled in, a patch keeps what it does not name, null takes away", async (t) => {
  const { call } = await adminFixture(t);
  const made = await call("POST", "apps", {
    name: "Wiki",
    externalUrls: ["HTTPS://Wiki.Example.com:443/docs/"],
    internalUrl: "http://10.0.0.5:8080/wiki",
  });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  assert.deepEqual(made.body.externalUrls, ["https://wiki.example.com/docs"]);
  assert.deepEqual(made.body.timeouts, DEFAULT_TIMEOUTS);
  assert.deepEqual(made.body.backendTls, DEFAULT_BACKEND_TLS);
  for (const [name, value] of Object.entries(DEFAULT_TRAFFIC)) assert.deepEqual(made.body[name], value, name);
  assert.equal(made.body.groupId, "default");
  const path = `apps/${made.body.id}`;
  const named = { timeouts: { idleMs: 0 }, backendTls: { serverName: "Wiki.Internal" } };
  const patched = await call("PATCH", path, named, { "If-Match": made.headers.get("etag")! });
  assert.deepEqual(patched.body.timeouts, { ...DEFAULT_TIMEOUTS, idleMs: 0 });
  assert.deepEqual(patched.body.backendTls, { ...DEFAULT_BACKEND_TLS, serverName: "wiki.internal" });
  const cleared = await call("PATCH", path, {
    backendTls: { serverName: null, validate: false },
    enabled: false,
  });
  assert.deepEqual(cleared.body.backendTls, { validate: false, minVersion: "TLSv1.2" });
  assert.equal(cleared.body.enabled, false);
  assert.equal(cleared.body.timeouts.idleMs, 0);
  assert.ok(cleared.body.revision > made.body.revision);
  assertProblem(await call("PATCH", path, { name: "x" }, { "If-Match": '"1"' }), 412, "version_conflict");
  assert.equal((await call("DELETE", path)).status, 204);
  assertProblem(await call("DELETE", path), 404, "not_found");
});

test("apps: nested settings are patched by part, null ends a maintenance and the checks", async (t) => {
  const { call } = await adminFixture(t);
  const made = await call("POST", "apps", {
    name: "Wiki",
    externalUrls: ["https://wiki.example.com"],
    internalUrl: "https://wiki.internal",
    backendProtocol: "h2",
    maintenance: { message: "Back\nsoon" },
    healthCheck: { type: "tcp" },
    requestHeaders: [{ action: "set", name: "X-A", value: "1" }],
  });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  assert.deepEqual(made.body.maintenance, { message: "Back\nsoon", retryAfterS: 300 });
  const path = `apps/${made.body.id}`;
  const patch = async (body: object) => (await call("PATCH", path, body)).body;
  const patched = await patch({
    maintenance: { retryAfterS: 5 },
    cookies: { secure: true },
    healthCheck: { path: "/up", intervalMs: 2_000 },
    backendTls: { clientCertificate: "wiki" },
  });
  assert.deepEqual(patched.maintenance, { message: "Back\nsoon", retryAfterS: 5 });
  assert.deepEqual(patched.cookies, { secure: true, httpOnly: false, sameSite: "keep" });
  const check = { ...DEFAULT_HEALTH_CHECK, type: "tcp", path: "/up", intervalMs: 2_000 };
  assert.deepEqual(patched.healthCheck, check);
  assert.equal(patched.backendTls.clientCertificate, "wiki");
  assert.deepEqual(patched.requestHeaders, [{ action: "set", name: "X-A", value: "1" }]);
  assertProblem(await call("PATCH", path, { internalUrl: "http://wiki.internal" }), 400, "invalid_request");
  const ended = await patch({
    maintenance: null,
    healthCheck: null,
    requestHeaders: [],
    backendTls: { clientCertificate: null },
  });
  assert.deepEqual([ended.maintenance, ended.healthCheck, ended.requestHeaders], [null, null, []]);
  assert.equal(ended.backendTls.clientCertificate, undefined);
  const audit = await call("GET", "audit");
  assert.ok(!JSON.stringify(audit.body).includes('"value"'), "header values may be passwords");
});

test("apps: taken names and URLs are conflicts; an unknown group and unknown keys are named as faults", async (t) => {
  const { call } = await adminFixture(t);
  const wiki = {
    name: "Wiki",
    externalUrls: ["https://wiki.example.com"],
    internalUrl: "http://wiki.internal",
  };
  assert.equal((await call("POST", "apps", wiki)).status, 201);
  assertProblem(await call("POST", "apps", { ...wiki, name: "Other" }), 409, "url_taken");
  const elsewhere = { ...wiki, externalUrls: ["https://other.example.com"] };
  assertProblem(await call("POST", "apps", elsewhere), 409, "name_taken");
  const cases: [Record<string, unknown>, string][] = [
    [{ groupId: "nowhere" }, "body.groupId"],
    [{ colour: "red" }, "body"],
    [{ timeouts: { connectMs: 1.5 } }, "body.timeouts.connectMs"],
    [{ timeouts: { connectMs: -1 } }, "body.timeouts.connectMs"],
    [{ timeouts: { readMs: 1 } }, "body.timeouts"],
    [{ externalUrls: [] }, "body.externalUrls"],
    [{ externalUrls: ["https://a.example/x", "https://A.example/x/"] }, "body.externalUrls"],
    [{ externalUrls: ["https://a.example", "ftp://b.example"] }, "body.externalUrls.1"],
    [{ internalUrl: "http://u:p@10.0.0.5" }, "body.internalUrl"],
    [{ name: " " }, "body.name"],
    [{ name: "a\u001b[31m" }, "body.name"],
    [{ backendTls: { ca: "no certificate" } }, "body.backendTls.ca"],
    [{ hostHeader: "both" }, "body.hostHeader"],
    [{ timeouts: { totalMs: 86_400_001 } }, "body.timeouts.totalMs"],
    [{ backendTls: { minVersion: "TLSv1.1" } }, "body.backendTls.minVersion"],
    [{ backendTls: { clientCertificate: "../key" } }, "body.backendTls.clientCertificate"],
    [{ backendProtocol: "http3" }, "body.backendProtocol"],
    [{ backendProtocol: "h2" }, "body.backendProtocol"],
    [{ maxRequestBytes: -1 }, "body.maxRequestBytes"],
    [{ maxConcurrent: 1.5 }, "body.maxConcurrent"],
    [{ maxQueued: 1_000_001 }, "body.maxQueued"],
    [{ requestHeaders: [{ action: "set", name: "X-A" }] }, "body.requestHeaders.0"],
    [{ requestHeaders: [{ action: "remove", name: "X-A", value: "1" }] }, "body.requestHeaders.0"],
    [{ requestHeaders: [{ action: "set", name: "Content-Length", value: "1" }] }, "body.requestHeaders.0"],
    [{ requestHeaders: [{ action: "set", name: "X A", value: "1" }] }, "body.requestHeaders.0"],
    [{ responseHeaders: [{ action: "add", name: "X-A", value: "a\r\nX-B: 1" }] }, "body.responseHeaders.0"],
    [{ responseHeaders: [{ action: "add", name: "X-A", value: "\u20ac" }] }, "body.responseHeaders.0"],
    [{ maintenance: { message: "\u001b[31m" } }, "body.maintenance.message"],
    [{ maintenance: { text: "x" } }, "body.maintenance"],
    [{ cookies: { sameSite: "Lax" } }, "body.cookies.sameSite"],
    [{ balancing: "random" }, "body.balancing"],
    [{ affinity: "ip" }, "body.affinity"],
    [{ healthCheck: { path: "up" } }, "body.healthCheck.path"],
    [{ healthCheck: { healthyAfter: 0 } }, "body.healthCheck.healthyAfter"],
  ];
  for (const [more, path] of cases) {
    const answer = await call("POST", "apps", { ...elsewhere, name: "Other", ...more });
    assertProblem(answer, 400, "invalid_request");
    assert.ok(answer.body.errors.some((e: { path: string }) => e.path === path), JSON.stringify(answer.body));
  }
});

test("apps: none is put at a name of the broker itself; one that is there already can be changed", async (t) => {
  const { call, store } = await adminFixture(t);
  const wiki = { name: "Wiki", internalUrl: "http://wiki.internal" };
  const kept = await store.createApp(ADMIN, appSettings("Kept", { externalUrls: ["https://ok.example"] }));
  const own = [TOKEN_FACTS.tunnelName, TOKEN_FACTS.enrolName];
  for (const url of own.flatMap((name) => [`https://${name}`, `http://${name.toUpperCase()}:8080/x`])) {
    const externalUrls = ["https://a.example", url];
    for (
      const answer of [
        await call("POST", "apps", { ...wiki, externalUrls }),
        await call("PATCH", `apps/${kept.id}`, { externalUrls }),
      ]
    ) {
      assertProblem(answer, 400, "invalid_request");
      assert.deepEqual(answer.body.errors.map((e: { path: string }) => e.path), ["body.externalUrls.1"]);
    }
  }
  const [parent] = own.map((name) => `https://*.${name.slice(name.indexOf(".") + 1)}/`);
  assert.equal((await call("POST", "apps", { ...wiki, externalUrls: [parent] })).status, 201);

  const old = await store.createApp(ADMIN, appSettings("Old", { externalUrls: [`https://${own[0]}/`] }));
  assert.equal((await call("PATCH", `apps/${old.id}`, { hostHeader: "user" })).status, 200);
});

test("connectors: shows stored and live facts; status follows switches and time", async (t) => {
  const { call, store, clock, live } = await adminFixture(t);
  const { connector } = await enrolOne(store, clock);
  const path = `connectors/${connector.id}`;
  const show = async () => (await call("GET", path)).body;

  const pending = await show();
  assert.equal(pending.status, "pending");
  assert.equal(pending.version, newConnector("a").softwareVersion);
  assert.equal(pending.certificate, null);
  assert.deepEqual(pending.memberOf, { id: "default", name: "Default" });
  assert.deepEqual(pending.tunnels, []);

  const tunnel = {
    instanceId: "i1",
    state: "ready" as const,
    externalIp: "203.0.113.9",
    connectedAt: clock.now(),
    softwareVersion: "0.2.0",
    configRevision: 3,
    lanesIdle: 16,
    lanesBusy: 2,
    exchanges: 10,
    bytesIn: 5,
    bytesOut: 6,
    rttMs: 1.5,
  };
  live.connected.set(connector.id, [tunnel]);
  await call("PATCH", "settings", { latestVersion: "0.3.0", desiredConnectorVersion: "0.2.1" });
  const active = await show();
  assert.equal(active.status, "active");
  assert.equal(active.connected, true);
  assert.equal(active.version, "0.2.0");
  assert.equal(active.externalIp, "203.0.113.9");
  assert.equal(active.latestVersion, "0.3.0");
  assert.equal(active.desiredVersion, "0.2.1");
  assert.equal(active.connectedAt, new Date(clock.now()).toISOString());
  assert.equal(active.tunnels[0].version, "0.2.0");
  assert.equal(active.tunnels[0].lanesIdle, 16);

  live.connected.clear();
  await store.noteConnectorSeen(connector.id, { at: clock.now() });
  clock.time += 59_999;
  const gone = await show();
  assert.deepEqual([gone.status, gone.connected], ["active", false]);
  clock.time += 1;
  assert.equal((await show()).status, "inactive");

  const { body: group } = await call("POST", "groups", { name: "Berlin" });
  const moved = await call("PATCH", path, { groupId: group.id, enabled: false });
  assert.equal(moved.body.status, "disabled");
  assert.equal(moved.body.memberOf.name, "Berlin");
  assertProblem(await call("PATCH", path, { groupId: "nowhere" }), 400, "invalid_request");
  assertProblem(await call("PATCH", path, { machineName: "x" }), 400, "invalid_request");
  assertProblem(await call("DELETE", `groups/${group.id}`), 409, "group_not_empty");
  const inGroup = await call("GET", `connectors?groupId=${group.id}`);
  assert.deepEqual(inGroup.body.items.map(({ id }: { id: string }) => id), [connector.id]);
  assert.deepEqual((await call("GET", "connectors?groupId=default")).body.items, []);
  assert.equal((await call("DELETE", path)).status, 204);
  assertProblem(await call("GET", path), 404, "not_found");
});

test("enrolment tokens: the one string holds what a connector needs; its secret enrols once", async (t) => {
  const { call, store, clock } = await adminFixture(t);
  const made = await call("POST", "enrolment-tokens", { ttlSeconds: 3_600, description: "dmz" });
  assert.equal(made.status, 201);
  const { secret, ...facts } = parseEnrolmentToken(made.body.token);
  assert.deepEqual(facts, TOKEN_FACTS);
  const path = `enrolment-tokens/${made.body.id}`;
  const live = (await call("GET", path)).body;
  assert.deepEqual([live.status, live.uses, live.maxUses, live.groupId], ["live", 0, 1, "default"]);
  assert.equal(live.expiresAt, new Date(clock.now() + 3_600_000).toISOString());
  await store.enrolConnector(enrolmentSecretSha256(secret), newConnector("b"), clock.now());
  assert.equal((await call("GET", path)).body.status, "used");
  for (const other of [path, "enrolment-tokens", "audit"]) {
    const text = JSON.stringify((await call("GET", other)).body);
    assert.ok(!text.includes(secret) && !text.includes(made.body.token), other);
  }
});

test("enrolment tokens: expire and are revoked; lifetimes and uses have bounds", async (t) => {
  const { call, clock } = await adminFixture(t);
  const { body } = await call("POST", "enrolment-tokens", {});
  clock.time += 86_400_000;
  assert.equal((await call("GET", `enrolment-tokens/${body.id}`)).body.status, "expired");
  const revoked = await call("DELETE", `enrolment-tokens/${body.id}`);
  assert.equal(revoked.body.status, "revoked");
  for (const wrong of [{ ttlSeconds: 59 }, { maxUses: 0 }, { groupId: "nowhere" }, { secret: "mine" }]) {
    assertProblem(await call("POST", "enrolment-tokens", wrong), 400, "invalid_request");
  }
});

test("settings: a change is partial, under If-Match, and checked", async (t) => {
  const { call } = await adminFixture(t);
  const before = await call("GET", "settings");
  const headers = { "If-Match": before.headers.get("etag")! };
  const after = await call("PATCH", "settings", { sessionLog: true }, headers);
  assert.equal(after.body.sessionLog, true);
  assert.equal(after.body.logLevel, before.body.logLevel);
  assertProblem(await call("PATCH", "settings", { sessionLog: false }, headers), 412, "version_conflict");
  for (
    const wrong of [{ logLevel: "loud" }, { latestVersion: "new" }, { verbose: true }, { sessionLog: "on" }]
  ) {
    assertProblem(await call("PATCH", "settings", wrong), 400, "invalid_request");
  }
});

test("settings: what nobody has set is as this broker is configured or by default, and told from what was", async (t) => {
  const { call } = await adminFixture(t, { configured: { logLevel: "warn", sessionLog: true } });
  const { body: before } = await call("GET", "settings");
  assert.deepEqual([before.set, before.logLevel, before.sessionLog, before.sharedIdentity], [
    [],
    "warn",
    true,
    "allow",
  ]);
  const { body: after } = await call("PATCH", "settings", { sharedIdentity: "allow", logLevel: "info" });
  assert.deepEqual([after.set, after.logLevel, after.sessionLog], [
    ["logLevel", "sharedIdentity"],
    "info",
    true,
  ]);
});

test("audit: every change is there, newest first, and pages", async (t) => {
  const { call } = await adminFixture(t);
  const { body: group } = await call("POST", "groups", { name: "Berlin" });
  await call("PATCH", `groups/${group.id}`, { name: "Potsdam" });
  await call("DELETE", `groups/${group.id}`);
  const { body } = await call("GET", "audit?limit=2");
  assert.equal(body.items.length, 2);
  const rest = await call("GET", `audit?limit=1&cursor=${body.next}`);
  const all = [...body.items, ...rest.body.items];
  assert.deepEqual(all.map(({ target }) => target), [group.id, group.id, group.id]);
  assert.deepEqual(all.map(({ action }) => action), ["group.delete", "group.update", "group.create"]);
});
