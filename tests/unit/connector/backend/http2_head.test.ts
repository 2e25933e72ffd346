import assert from "node:assert/strict";
import { test } from "node:test";
import {
  http2Head,
  http2Trailers,
  isGrpc,
  withoutPseudo,
} from "../../../../src/connector/backend/http2_head.ts";

const request = (headers: string[], hasBody = false) => ({ method: "GET", target: "/a?b", headers, hasBody });

test("http2Head: Host becomes :authority, connection-specific headers go, the rest stays in order, with duplicates", () => {
  const { list } = http2Head(
    request([
      "X-B",
      "1",
      "Host",
      "user.test",
      "Connection",
      "keep-alive, X",
      "Keep-Alive",
      "x",
      "Proxy-Connection",
      "x",
      "Transfer-Encoding",
      "chunked",
      "Upgrade",
      "x",
      "TE",
      "trailers",
      "Cookie",
      "a=1",
      "x-b",
      "2",
      "cookie",
      "b=2",
      "X-Bytes",
      "caf\xe9",
    ]),
    "https",
    "backend:8443",
  );
  assert.deepEqual(list, [
    ...[":method", "GET", ":scheme", "https", ":authority", "user.test", ":path", "/a?b"],
    ...["x-b", "1", "te", "trailers", "cookie", "a=1", "x-b", "2", "cookie", "b=2", "x-bytes", "caf\xe9"],
  ]);
  assert.deepEqual(http2Head(request([]), "http", "backend:80").list.slice(4, 6), [
    ":authority",
    "backend:80",
  ]);
});

test("http2Head: what could be read as another header is refused", () => {
  for (
    const headers of [
      ["X", "a\r\nb: c"],
      ["X", "a\0"],
      ["a b", "c"],
      [":path", "/other"],
      ["Host", "a", "host", "b"],
    ]
  ) {
    assert.throws(() => http2Head(request(headers), "http", "a"), TypeError);
  }
  assert.throws(() => http2Head({ ...request([]), target: "/\n" }, "http", "a"), TypeError);
});

test("http2Head: trailers may follow every body but one of gRPC that announces none", () => {
  const mayTrail = (headers: string[], hasBody = true) =>
    http2Head(request(headers, hasBody), "http", "a").mayTrail;
  const grpc = ["content-type", "application/grpc"];
  assert.equal(mayTrail([]), true);
  assert.equal(mayTrail([], false), false);
  assert.equal(mayTrail(grpc), false);
  assert.equal(mayTrail([...grpc, "Trailer", "x"]), true);
});

test("isGrpc: gRPC proper, not gRPC-Web", () => {
  for (
    const type of ["application/grpc", "application/grpc+proto", "Application/GRPC;x", "application/grpc ;x"]
  ) {
    assert.equal(isGrpc(type), true, type);
  }
  for (
    const type of ["application/grpc-web", "application/grpc-web+proto", "application/grp", "text/plain", ""]
  ) {
    assert.equal(isGrpc(type), false, type);
  }
});

test("withoutPseudo, http2Trailers", () => {
  assert.deepEqual(withoutPseudo([":status", "200", "a", "1", "a", "2"]), ["a", "1", "a", "2"]);
  assert.deepEqual(http2Trailers(["A", "1", "b", "2", "a", "3"]), { a: ["1", "3"], b: "2" });
  assert.throws(() => http2Trailers(["a", "1\n"]), TypeError);
});
