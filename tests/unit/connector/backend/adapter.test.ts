import assert from "node:assert/strict";
import { METHODS } from "node:http";
import { test } from "node:test";
import { adapterFor, withoutTe } from "../../../../src/connector/backend/adapter.ts";
import type { AdapterChoice } from "../../../../src/connector/backend/adapter.ts";
import { framedHeaders } from "../../../../src/connector/backend/node_http_head.ts";

const HOST = ["Host", "a"];

const TABLE: [string, string, string, string[], boolean, AdapterChoice][] = [
  ["a plain GET", "GET", "/", HOST, false, "undici"],
  ["a HEAD", "HEAD", "/", HOST, false, "undici"],
  ["odd bytes in the target", "GET", '/a/../b//c%2e%2e?"|^\xe9', HOST, false, "undici"],
  ["a body of known length", "POST", "/", [...HOST, "content-Length", "3"], true, "undici"],
  ["an empty POST", "POST", "/", [...HOST, "Content-Length", "0"], false, "undici"],
  ["a POST without length or body", "POST", "/", HOST, false, "undici"],
  ["an empty DELETE that says so", "DELETE", "/", [...HOST, "Content-Length", "0"], false, "node_http"],
  ["a body of unknown length", "POST", "/", HOST, true, "node_http"],
  ["a chunked body", "POST", "/", [...HOST, "Transfer-Encoding", "Chunked"], true, "node_http"],
  ["Expect", "POST", "/", [...HOST, "EXPECT", "100-continue", "Content-Length", "1"], true, "node_http"],
  ["Upgrade", "GET", "/", [...HOST, "Connection", "Upgrade", "Upgrade", "x"], false, "node_http"],
  ["OPTIONS *", "OPTIONS", "*", HOST, false, "node_http"],
  ["an absolute target", "GET", "http://a/", HOST, false, "node_http"],
  ["two Hosts", "GET", "/", [...HOST, "host", "b"], false, "node_http"],
  ["no Host", "GET", "/", [], false, "node_http"],
  ["Keep-Alive", "GET", "/", [...HOST, "Keep-Alive", "x"], false, "node_http"],
  ["Negotiate", "GET", "/", [...HOST, "authorization", "Negotiate YII="], false, "node_http_alone"],
  ["NTLM", "GET", "/", [...HOST, "Authorization", "ntlm TlRM"], false, "node_http_alone"],
  ["Basic", "GET", "/", [...HOST, "Authorization", "Basic bnRsbTo="], false, "undici"],
  ["CONNECT", "CONNECT", "a:1", HOST, false, "refused_connect"],
  [
    "two lengths",
    "POST",
    "/",
    [...HOST, "Content-Length", "1", "content-length", "1"],
    true,
    "refused_framing",
  ],
  [
    "length and chunked",
    "POST",
    "/",
    [
      ...HOST,
      "Content-Length",
      "1",
      "Transfer-Encoding",
      "chunked",
    ],
    true,
    "refused_framing",
  ],
  [
    "chunked and length",
    "POST",
    "/",
    [
      ...HOST,
      "Transfer-Encoding",
      "chunked",
      "Content-Length",
      "1",
    ],
    true,
    "refused_framing",
  ],
  [
    "a coding before chunked",
    "POST",
    "/",
    [...HOST, "Transfer-Encoding", "gzip, chunked"],
    true,
    "refused_framing",
  ],
  [
    "chunked without a body",
    "POST",
    "/",
    [...HOST, "Transfer-Encoding", "chunked"],
    false,
    "refused_framing",
  ],
  ["a length without a body", "GET", "/", [...HOST, "Content-Length", "5"], false, "refused_framing"],
  ["a length that is no number", "POST", "/", [...HOST, "Content-Length", "+5"], true, "refused_framing"],
  ["a list of lengths", "POST", "/", [...HOST, "Content-Length", "5, 5"], true, "refused_framing"],
];

const GRPC = [...HOST, "Content-Type", "application/grpc+proto", "TE", "trailers"];

TABLE.push(
  ["announced trailers", "POST", "/", [...HOST, "Trailer", "x", "Content-Length", "1"], true, "node_http"],
  ["TE alone", "GET", "/", [...HOST, "TE", "trailers"], false, "undici_without_te"],
  ["gRPC with TE to a backend of HTTP/1.1", "POST", "/", GRPC, true, "node_http"],
);

for (const [what, method, target, headers, hasBody, expected] of TABLE) {
  test(`${what}: ${expected}`, () => {
    assert.equal(adapterFor({ method, target, headers, hasBody }), expected);
  });
}

test("every method but CONNECT has an adapter", () => {
  for (const method of METHODS.filter((name) => name !== "CONNECT")) {
    assert.equal(adapterFor({ method, target: "/", headers: HOST, hasBody: false }), "undici", method);
  }
});

test("framing for node:http is always explicit", () => {
  const framed = (method: string, headers: string[], hasBody: boolean) =>
    framedHeaders({ method, target: "/", headers, hasBody }, "b:1");
  assert.deepEqual(framed("POST", HOST, true), [...HOST, "Transfer-Encoding", "chunked"]);
  assert.deepEqual(framed("GET", HOST, true), [...HOST, "Transfer-Encoding", "chunked"]);
  assert.deepEqual(framed("POST", HOST, false), [...HOST, "Content-Length", "0"]);
  assert.deepEqual(framed("GET", HOST, false), HOST);
  assert.deepEqual(framed("GET", [], false), ["Host", "b:1"]);
  const given = [...HOST, "CONTENT-length", "7"];
  assert.deepEqual(framed("POST", given, true), given);
});

test("adapterFor: HTTP/2 for gRPC or for all, but not for a change of protocol", () => {
  const get = { method: "GET", target: "/", headers: HOST, hasBody: false };
  const grpc = { method: "POST", target: "/", headers: GRPC, hasBody: true };
  const web = { ...grpc, headers: [...HOST, "Content-Type", "application/grpc-web+proto"] };
  assert.equal(adapterFor(grpc, "grpc"), "http2");
  assert.equal(
    adapterFor({ ...grpc, headers: [...HOST, "content-type", "Application/gRPC"] }, "grpc"),
    "http2",
  );
  assert.equal(adapterFor(web, "grpc"), "node_http");
  assert.equal(adapterFor(get, "grpc"), "undici");
  assert.equal(adapterFor(get, "always"), "http2");
  assert.equal(
    adapterFor({ ...get, upgrade: true, headers: [...HOST, "Upgrade", "x"] }, "always"),
    "node_http",
  );
  assert.equal(
    adapterFor({ ...get, headers: [...HOST, "Content-Length", "5"] }, "always"),
    "refused_framing",
  );
});

test("withoutTe: takes TE out in any spelling, and nothing else", () => {
  const headers = ["Host", "a", "te", "trailers", "X", "1", "TE", "gzip", "Tea", "2"];
  withoutTe(headers);
  assert.deepEqual(headers, ["Host", "a", "X", "1", "Tea", "2"]);
});

test("framedHeaders: TE is named in Connection; a body with announced trailers is chunked whatever its length", () => {
  const post = { method: "POST", target: "/", hasBody: true };
  assert.deepEqual(
    framedHeaders({ ...post, headers: ["Host", "a", "TE", "trailers", "Content-Length", "1"] }, "b"),
    ["Host", "a", "TE", "trailers", "Content-Length", "1", "Connection", "TE"],
  );
  assert.deepEqual(
    framedHeaders({ ...post, headers: ["Host", "a", "content-length", "1", "Trailer", "x"] }, "b"),
    ["Host", "a", "Trailer", "x", "Transfer-Encoding", "chunked"],
  );
});
