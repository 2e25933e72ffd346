import assert from "node:assert/strict";
import { test } from "node:test";
import { backendApp, completed, exchange, failure, testBackends } from "../support/backend_exchange.ts";
import { FILE_BYTES, NGINX, startNginx } from "../support/nginx.ts";

test("nginx: HEAD, ranges, revalidation, uploads and keep-alive", {
  skip: NGINX === undefined && "needs nginx: apt-get install nginx-light",
}, async (t) => {
  const app = backendApp(`http://127.0.0.1:${await startNginx(t)}`);
  const backends = testBackends(t);
  const get = async (headers: string[], changes: { method?: string; target?: string } = {}) => {
    const request = { target: "/file", ...changes, headers: ["Host", "wiki.test", ...headers] };
    return await completed(exchange(backends, app, request));
  };
  const value = (list: string[], name: string) => list[list.indexOf(name) + 1];

  const whole = await get([]);
  assert.deepEqual([whole.status, whole.reason, whole.bytes], [200, "OK", FILE_BYTES]);
  const head = await get([], { method: "HEAD" });
  assert.deepEqual([head.status, head.bytes], [200, 0]);
  assert.equal(value(head.headers, "Content-Length"), String(FILE_BYTES));
  const part = await get(["Range", "bytes=5-9"]);
  assert.deepEqual([part.status, part.bytes], [206, 5]);
  const same = await get(["If-None-Match", value(whole.headers, "ETag")!]);
  assert.deepEqual([same.status, same.bytes], [304, 0]);
  const zipped = await get(["Accept-Encoding", "gzip"]);
  assert.equal(value(zipped.headers, "Content-Encoding"), "gzip");
  assert.equal((await get([], { target: "/nothing/../nothing" })).status, 404);

  const body = "x".repeat(100_000);
  const put = { method: "PUT", target: "/up/x" };
  const length = ["Host", "a", "Content-Length", String(body.length)];
  assert.equal((await completed(exchange(backends, app, { ...put, headers: length }, body))).status, 201);
  assert.equal((await completed(exchange(backends, app, put, body))).status, 204);
  assert.equal((await get([], { target: "/up/x" })).body, body);
  assert.equal((await failure(exchange(backends, app, { target: "/cut" }))).code, "backend_reset");
});
