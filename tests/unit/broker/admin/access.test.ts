import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { createAdminToken } from "../../../../src/broker/admin/admin_token.ts";
import { MAX_BODY_BYTES } from "../../../../src/broker/admin/app.ts";
import { type LogFields, silentLog } from "../../../../src/platform/log.ts";
import { adminFixture, assertProblem, readAnswer } from "../../../support/admin_fixture.ts";

test("admin API: without a live token nothing answers but 401 with a challenge, unknown paths too", async (t) => {
  const { app, token } = await adminFixture(t);
  const wrong = [
    undefined,
    `Basic ${token}`,
    "Bearer",
    `Bearer ${createAdminToken().token}`,
    `Bearer ${token}x`,
    `Bearer ${token} ${token}`,
    `Bearer ${"spa_".padEnd(100_000, "a")}`,
    // The stored hash is no token.
    `Bearer ${createHash("sha256").update(token).digest("hex")}`,
  ];
  for (const authorization of wrong) {
    for (const path of ["groups", "nothing-there"]) {
      const headers = authorization === undefined ? undefined : { Authorization: authorization };
      const response = await app.request(`/api/v1/${path}`, { headers });
      assert.match(response.headers.get("www-authenticate")!, /^Bearer realm="sallyport"/);
      assertProblem(await readAnswer(response), 401, "unauthorized");
    }
  }
});

test("admin API: no byte of a body is read before the token is known to be good", async (t) => {
  const { app } = await adminFixture(t);
  let pulls = 0;
  const pull = (controller: ReadableStreamDefaultController) => {
    pulls += 1;
    controller.close();
  };
  const body = new ReadableStream({ pull }, { highWaterMark: 0 });
  const init = { method: "POST", headers: { "Content-Type": "application/json" }, body, duplex: "half" };
  const response = await app.request("/api/v1/groups", init as RequestInit);
  assertProblem(await readAnswer(response), 401, "unauthorized");
  assert.equal(pulls, 0);
});

test("admin API: a revoked token is dead at once, and its revocation is in the audit table", async (t) => {
  const { call, app } = await adminFixture(t);
  const made = await call("POST", "admin-tokens", { name: "alice" });
  assert.equal(made.status, 201);
  const headers = { Authorization: `bearer ${made.body.token}` };
  assert.equal((await app.request("/api/v1/groups", { headers })).status, 200);
  const revoked = await call("DELETE", `admin-tokens/${made.body.id}`);
  assert.ok(revoked.body.revokedAt);
  assertProblem(await readAnswer(await app.request("/api/v1/groups", { headers })), 401, "unauthorized");
  const { body } = await call("GET", "audit?limit=1");
  assert.equal(body.items[0].target, made.body.id);
  assert.equal(body.items[0].actor.kind, "admin");
});

test("admin API: the text of an admin token is in one answer and nowhere else", async (t) => {
  const { call } = await adminFixture(t);
  const made = await call("POST", "admin-tokens", { name: "alice" });
  assert.match(made.body.token, /^spa_[A-Za-z0-9_-]{43}$/);
  const paths = ["admin-tokens", `admin-tokens/${made.body.id}`, "audit"];
  for (const path of paths) {
    assert.ok(!JSON.stringify((await call("GET", path)).body).includes(made.body.token), path);
  }
});

test("admin API: bodies that are too large, no JSON or of another type are refused with their codes", async (t) => {
  const { app, call, token } = await adminFixture(t);
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  const post = async (init: Record<string, unknown>) =>
    await readAnswer(
      await app.request("/api/v1/groups", { method: "POST", headers, ...init } as RequestInit),
    );
  const large = JSON.stringify({ name: "x".repeat(MAX_BODY_BYTES) });
  assertProblem(await post({ body: large }), 413, "body_too_large");
  let sent = 0;
  const endless = new ReadableStream({
    pull(controller) {
      sent += 65_536;
      controller.enqueue(new Uint8Array(65_536).fill(32));
    },
  });
  assertProblem(await post({ body: endless, duplex: "half" }), 413, "body_too_large");
  assert.ok(sent < 2 * MAX_BODY_BYTES, `${sent} bytes were taken`);
  assertProblem(await post({ body: '{"name":' }), 400, "invalid_request");
  const text = { ...headers, "Content-Type": "text/plain" };
  assertProblem(await post({ headers: text, body: '{"name":"a"}' }), 415, "media_type_unsupported");
  assertProblem(await post({ headers: { Authorization: headers.Authorization } }), 400, "invalid_request");
  assertProblem(await call("GET", "nothing-there"), 404, "route_unknown");
});

test("admin API: a failure inside is answered without detail", async (t) => {
  const { call, store } = await adminFixture(t);
  await call("GET", "groups"); // the token's use has been noted
  store.listGroups = () => Promise.reject(new Error("secret path /etc/x"));
  const answer = await call("GET", "groups");
  assertProblem(answer, 500, "internal_error");
  assert.ok(!JSON.stringify(answer.body).includes("/etc/x"));
});

test("admin API: a store that does not answer is 503 with Retry-After, and not ready", async (t) => {
  const { call, app, store } = await adminFixture(t);
  await store.close();
  const answer = await call("GET", "groups");
  assertProblem(answer, 503, "store_unavailable");
  assert.equal(answer.headers.get("retry-after"), "1");
  const ready = await readAnswer(await app.request("/readyz"));
  assert.equal(ready.status, 503);
  assert.deepEqual(ready.body, { ready: false, reasons: ["the store does not answer"], warnings: [] });
});

test("health: /livez, /readyz with reasons and /metrics need no token", async (t) => {
  const { app, live } = await adminFixture(t);
  assert.equal((await app.request("/livez")).status, 200);
  assert.deepEqual((await readAnswer(await app.request("/readyz"))).body, {
    ready: true,
    reasons: [],
    warnings: [],
  });
  live.readiness = { ready: false, reasons: ["draining"] };
  const unready = await readAnswer(await app.request("/readyz"));
  assert.equal(unready.status, 503);
  assert.deepEqual(unready.body.reasons, ["draining"]);
  const metrics = await app.request("/metrics");
  assert.match(metrics.headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
  assert.match(await metrics.text(), /^sallyport_tunnels_connected 0$/m);
});

test("admin API: what is refused is in the log at debug, with request id, method, path and code; no query, no body", async (t) => {
  const lines: [string, LogFields][] = [];
  const log = {
    ...silentLog,
    debug: (text: string, fields: LogFields = {}) => void lines.push([text, fields]),
  };
  const { call } = await adminFixture(t, { log });
  const calls = [
    ["GET", "nothing-there?secret=1", undefined, "route_unknown", 404],
    ["PATCH", "groups/x?secret=1", { name: "secret" }, "not_found", 404],
    ["POST", "groups", { secret: "secret" }, "invalid_request", 400],
  ] as const;
  for (const [method, path, body, code, status] of calls) {
    const { requestId } = (await call(method, path, body)).body;
    const [text, fields] = lines.pop()!;
    assert.equal(text, "Admin request refused");
    assert.deepEqual(fields, { requestId, method, path: `/api/v1/${path.split("?")[0]}`, status, code });
  }
  await call("GET", "groups");
  assert.deepEqual(lines, []);
});

test("admin API: a method that a path does not have is 405 with those that it has, for all paths", async (t) => {
  const { app, call, token } = await adminFixture(t);
  const ask = async (method: string, path: string, headers?: Record<string, string>) =>
    await readAnswer(await app.request(path, headers === undefined ? { method } : { method, headers }));
  const { paths } = (await ask("GET", "/api/v1/openapi.json")).body as { paths: Record<string, object> };
  assert.ok(Object.keys(paths).length > 10);
  for (const [path, operations] of Object.entries(paths)) {
    const refused = await call("PUT", path.slice(1).replace("{id}", "x").replace("{serial}", "0a"), {});
    assertProblem(refused, 405, "method_not_allowed");
    const allowed = Object.keys(operations).map((method) => method.toUpperCase());
    const allow = allowed.includes("GET") ? [...allowed, "HEAD"] : allowed;
    assert.deepEqual(refused.headers.get("allow")?.split(", "), allow, path);
  }
  assertProblem(await ask("PUT", "/api/v1/groups"), 401, "unauthorized");
  assertProblem(await call("PUT", "groups/x/y", {}), 404, "route_unknown");
  assertProblem(await call("PUT", "Groups", {}), 404, "route_unknown");
  const authorization = { Authorization: `Bearer ${token}` };
  assert.equal((await app.request("/api/v1/groups", { method: "HEAD", headers: authorization })).status, 200);
  for (const path of ["/", "/livez", "/readyz", "/metrics", "/api/v1/docs", "/api/v1/openapi.json"]) {
    const refused = await ask("POST", path);
    assertProblem(refused, 405, "method_not_allowed");
    assert.equal(refused.headers.get("allow"), "GET, HEAD", path);
  }
});
