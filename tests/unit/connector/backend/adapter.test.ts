import assert from "node:assert/strict";
import { METHODS } from "node:http";
import { test } from "node:test";
import { adapterFor } from "../../../../src/connector/backend/adapter.ts";
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
