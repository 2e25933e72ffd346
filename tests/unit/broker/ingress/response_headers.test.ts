import assert from "node:assert/strict";
import { test } from "node:test";
import {
  headersOfStream,
  incomingHeaders,
  incomingTrailers,
} from "../../../../src/broker/ingress/response_headers.ts";

const mixed = () => [
  ...["Server", "x", "Connection", "close, X-Hop", "Set-Cookie", "a=1", "Keep-Alive", "1", "X-Hop", "1"],
  ...[
    "set-cookie",
    "b=2",
    "Transfer-Encoding",
    "chunked",
    "Upgrade",
    "h2c",
    "Content-Length",
    "3",
    "X-Last",
    "",
  ],
];
const kept = ["Server", "x", "Set-Cookie", "a=1", "set-cookie", "b=2", "Content-Length", "3", "X-Last", ""];

test("incomingHeaders: order, case and duplicates kept; what belonged to the backend's connection taken out", () => {
  assert.deepEqual(incomingHeaders(mixed()), kept);
  assert.deepEqual(incomingHeaders([]), []);
  assert.deepEqual(incomingHeaders(["Connection", "close"]), []);
  const untouched = ["A", "1", "a", "2"];
  assert.equal(incomingHeaders(untouched), untouched);
});

test("headersOfStream: names in lower case, status first", () => {
  const lower = kept.map((text, i) => i % 2 === 0 ? text.toLowerCase() : text);
  assert.deepEqual(headersOfStream(299, kept), [":status", "299", ...lower]);
});

test("incomingTrailers: neither framing nor hop-by-hop fields", () => {
  assert.deepEqual(
    incomingTrailers(mixed()),
    kept.filter((_, i) => kept[i - (i % 2)] !== "Content-Length"),
  );
});
