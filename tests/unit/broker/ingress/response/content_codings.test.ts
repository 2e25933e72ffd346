import assert from "node:assert/strict";
import { test } from "node:test";
import { codingOf, preferredCoding } from "../../../../../src/broker/ingress/response/content_codings.ts";

test("Content-Encoding: one known coding, none, or not ours to undo", () => {
  for (const none of ["", " ", "identity", "Identity"]) assert.equal(codingOf(none), null);
  assert.deepEqual(["gzip", "X-GZIP", " br ", "deflate", "ZSTD"].map(codingOf), [
    "gzip",
    "gzip",
    "br",
    "deflate",
    "zstd",
  ]);
  for (const other of ["compress", "gzip, br", "constructor", "gzip,"]) {
    assert.equal(codingOf(other), undefined, other);
  }
});

test("Accept-Encoding: the better of brotli and gzip by quality", () => {
  const table: [string | undefined, "br" | "gzip" | null][] = [
    [undefined, null],
    ["", null],
    ["gzip", "gzip"],
    ["GZIP", "gzip"],
    ["x-gzip", "gzip"],
    ["gzip, br", "br"],
    ["br;q=0.9, gzip;q=1.0", "gzip"],
    ["br ; q=0.5 , gzip;q=0.5", "br"],
    ["br;q=0", null],
    ["*", "br"],
    ["*, br;q=0", "gzip"],
    ["*;q=0", null],
    ["gzip;q=0.2, identity;q=0.5", null],
    ["gzip;q=0.5, identity;q=0.5", "gzip"],
    ["gzip;q=nonsense", null],
    ["deflate, zstd", null],
    [`${"x,".repeat(600)}gzip`, null],
  ];
  for (const [accept, expected] of table) {
    assert.equal(preferredCoding(accept), expected, String(accept).slice(0, 40));
  }
});
