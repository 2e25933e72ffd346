import assert from "node:assert/strict";
import { test } from "node:test";
import type { RequestFacts } from "../../../../src/broker/ingress/client_facts.ts";
import {
  outgoingHeaders,
  outgoingHeadersOfStream,
  outgoingTrailers,
  outgoingUpgradeHeaders,
} from "../../../../src/broker/ingress/request_headers.ts";

const facts: RequestFacts = {
  address: "192.0.2.1",
  forwardedFor: "192.0.2.1",
  proto: "https",
  host: "a.test",
};
const forwarded = [
  "X-Forwarded-For",
  "192.0.2.1",
  "X-Forwarded-Host",
  "a.test",
  "X-Forwarded-Proto",
  "https",
];
const outgoing = (...raw: string[]) => outgoingHeaders(["Host", "a.test", ...raw], "inner:80", facts);

test("outgoingHeaders: Host in its place, order, case and duplicates kept, forwarded facts at the end", () => {
  const { headers, hasBody, sound } = outgoingHeaders(
    ["x-A", "1", "HOST", "a.test", "X-a", "2", "cookie", "b", "Cookie", "c"],
    "inner:80",
    facts,
  );
  assert.deepEqual(headers, [
    "x-A",
    "1",
    "HOST",
    "inner:80",
    "X-a",
    "2",
    "cookie",
    "b",
    "Cookie",
    "c",
    ...forwarded,
  ]);
  assert.deepEqual([hasBody, sound], [false, true]);
});

test("outgoingHeaders: takes out what speaks of the connection, whatever its case, and what Connection names", () => {
  const hops = ["Keep-Alive", "TE", "Upgrade", "Proxy-Connection", "proxy-authorization", "HTTP2-Settings"];
  const raw = [
    ...hops.flatMap((name) => [name, "x"]),
    "Connection",
    "X-One, keep-alive",
    "connection",
    " x-two ",
  ];
  const { headers } = outgoing(...raw, "x-one", "1", "X-Two", "2", "X-Three", "3");
  assert.deepEqual(headers, ["Host", "inner:80", "X-Three", "3", ...forwarded]);
});

test("outgoingHeaders: Connection cannot name away what frames, routes or authorises the request, nor what we add", () => {
  const named = "host, content-length, transfer-encoding, authorization, cookie, x-forwarded-for, close";
  const { headers } = outgoing(
    "Connection",
    named,
    "Content-Length",
    "3",
    "Authorization",
    "x",
    "Cookie",
    "y",
  );
  const kept = ["Host", "inner:80", "Content-Length", "3", "Authorization", "x", "Cookie", "y"];
  assert.deepEqual(headers, [...kept, ...forwarded]);
});

test("outgoingHeaders: forged forwarding headers never pass, in any spelling", () => {
  const forged = [
    "Forwarded",
    "X-Forwarded-For",
    "x-forwarded-host",
    "X-FORWARDED-PROTO",
    "X-Forwarded-Port",
    "X-Real-IP",
    "X-Forwarded-Prefix",
    "X-Forwarded-Ssl",
    "True-Client-IP",
    "X-Original-URL",
    "X_Rewrite_URL",
  ];
  assert.deepEqual(outgoing(...forged.flatMap((name) => [name, "6.6.6.6"])).headers, [
    "Host",
    "inner:80",
    ...forwarded,
  ]);
});

test("outgoingHeaders: says whether a body follows and whether framing and Host are sound", () => {
  const cases: [raw: string[], hasBody: boolean, sound: boolean][] = [
    [[], false, true],
    [["Content-Length", "0"], false, true],
    [["content-length", "12"], true, true],
    [["Transfer-Encoding", "chunked"], true, true],
    [["transfer-encoding", "Chunked"], true, true],
    [["Transfer-Encoding", "gzip, chunked"], true, false],
    [["Transfer-Encoding", "chunked", "Transfer-Encoding", "chunked"], true, false],
    [["Host", "a.test"], false, false],
  ];
  for (const [raw, hasBody, sound] of cases) {
    const result = outgoing(...raw);
    assert.deepEqual([result.hasBody, result.sound], [hasBody, sound], raw.join(" "));
  }
  assert.equal(outgoingHeaders([], "inner", facts).sound, false, "no Host");
});

test("outgoingUpgradeHeaders: what is asked for goes along, hop by hop", () => {
  const raw = [
    "Host",
    "a.test",
    "Upgrade",
    "websocket",
    "Connection",
    "keep-alive, Upgrade, X-Hop",
    "X-Hop",
    "1",
  ];
  const { headers, sound } = outgoingUpgradeHeaders(raw, "inner", facts);
  assert.deepEqual(headers, ["Host", "inner", ...forwarded, "Upgrade", "websocket", "Connection", "Upgrade"]);
  assert.ok(sound);
});

test("outgoingHeadersOfStream: Host first, pseudo-headers out, cookie crumbs joined where the first one stood", () => {
  const raw = [
    ":method",
    "GET",
    ":path",
    "/",
    "cookie",
    "a",
    "x",
    "1",
    "cookie",
    "b",
    "te",
    "trailers",
    "host",
    "h",
    "cookie",
    "c",
  ];
  const headers = outgoingHeadersOfStream(raw, "inner", facts);
  assert.deepEqual(headers, ["host", "inner", "cookie", "a; b; c", "x", "1", "te", "trailers", ...forwarded]);
});

test("outgoingHeaders: of TE only trailers goes on, said anew, though Connection names it", () => {
  const te = (...raw: string[]) => outgoing(...raw).headers.slice(2, -forwarded.length);
  assert.deepEqual(te("TE", "gzip, Trailers", "Connection", "TE"), ["TE", "trailers"]);
  assert.deepEqual(te("te", "trailers"), ["TE", "trailers"]);
  assert.deepEqual(te("TE", "gzip, deflate", "Connection", "TE"), []);
});

test("outgoingTrailers: what only a head may say is left out", () => {
  const raw = [
    "X-Sum",
    "1",
    "Content-Length",
    "3",
    "Transfer-Encoding",
    "chunked",
    "host",
    "h",
    "x-sum",
    "2",
  ];
  assert.deepEqual(outgoingTrailers(raw), ["X-Sum", "1", "x-sum", "2"]);
  assert.deepEqual(outgoingTrailers(["X-Forwarded-For", "1.1.1.1", "Cookie", "a", "TE", "trailers"]), []);
});
