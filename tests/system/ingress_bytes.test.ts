/** What a backend sees of a request, and a user of a response, byte for byte, through broker and connector. */
import assert from "node:assert/strict";
import { METHODS } from "node:http";
import { after, before, test } from "node:test";
import { type IngressStage, ingressStage } from "../support/ingress_stage.ts";
import { answerOk, type RawRequest } from "../support/raw_backend.ts";
import { readHead, type StagedBackend, stagedBackend } from "../support/staged_backend.ts";
import { http2User, request2 } from "../support/http2_user.ts";
import { valueOf, Wire } from "../support/wire.ts";

const HOST = "bytes.example.test";
const KEEPS = "keeps.example.test";
const ok = ({ socket }: RawRequest) => void socket.write(answerOk(), "latin1");

let stage: IngressStage;
let backend: StagedBackend;

before(async () => {
  stage = await ingressStage();
  backend = await stagedBackend(ok);
  await stage.publish("bytes", `http://${HOST}`, backend.origin);
  await stage.publish("keeps", `http://${KEEPS}`, backend.origin, { hostHeader: "user" });
});
after(async () => {
  await stage?.[Symbol.asyncDispose]();
  await backend?.[Symbol.asyncDispose]();
});

const plain = () => Wire.plain(stage.plainPort);
const session = () => http2User({ port: stage.tlsPort, servername: HOST, ca: stage.ca });
const answer = (text: string) => ({ socket }: RawRequest) => void socket.write(text, "latin1");
/** Which broker it came through. */
const VIA = /^1\.1 sallyport-[0-9a-f]{16}$/;
const FORWARDED = [
  ["X-Forwarded-For", "127.0.0.1"],
  ["X-Forwarded-Host", HOST],
  ["X-Forwarded-Proto", "http"],
].flat();

test("every method of HTTP but CONNECT reaches the backend", async () => {
  backend.answers(ok);
  const wire = await plain();
  for (const method of METHODS.filter((method) => method !== "CONNECT")) {
    wire.send(`${method} /m HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
    const { status } = await wire.response(method === "HEAD");
    assert.equal(status, 200, method);
    assert.equal(readHead(backend.last.head).line, `${method} /m HTTP/1.1`);
  }
  wire.close();
});

test("targets reach the backend byte for byte", async () => {
  backend.answers(ok);
  const wire = await plain();
  const targets = [
    "/",
    "/a/../b//c%2e%2e",
    "/a/./b/",
    "/?q=%00&r=%zz&&==",
    "/%41%2fB%5C;v=1,2",
    "//double//slash",
    "/~!$&'()*+,;=:@-._",
    "/?a?b/../c'\"<>[]{}|^`",
    `/${"long/".repeat(2_000)}`,
  ];
  for (const target of targets) {
    wire.send(`GET ${target} HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
    assert.equal((await wire.response()).status, 200, target);
    assert.equal(readHead(backend.last.head).line, `GET ${target} HTTP/1.1`);
  }
  wire.send(`OPTIONS * HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  assert.equal((await wire.response()).status, 200);
  assert.equal(readHead(backend.last.head).line, "OPTIONS * HTTP/1.1");
  wire.send(`GET http://${HOST}/abs?x HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  assert.equal((await wire.response()).status, 200);
  assert.equal(readHead(backend.last.head).line, "GET /abs?x HTTP/1.1");
  wire.close();
});

test("HTTP/2: targets reach the backend byte for byte", async () => {
  backend.answers(ok);
  const user = await session();
  for (const path of ["/a/../b//c%2e%2e?q=%00", "/?a?b'\"<>[]{}|^`"]) {
    const { status } = await request2(user, { ":path": path, ":authority": HOST });
    assert.equal(status, 200, path);
    assert.equal(readHead(backend.last.head).line, `GET ${path} HTTP/1.1`);
  }
  user.destroy();
});

test("request headers keep order, case, duplicates and bytes; those of the connection and forged ones are taken out", async () => {
  backend.answers(ok);
  const wire = await plain();
  wire.send([
    "GET /h HTTP/1.1",
    "x-first: 1",
    `Host: ${HOST}`,
    "X-Dup: a",
    "x-dup: b",
    "Accept: */*",
    "X-Latin: caf\xe9 \x80\xff",
    "X-Empty:",
    "Cookie: a=1",
    "Cookie: b=2",
    "Authorization: Basic eDp5",
    "Connection: keep-alive, X-Hop, x-hop-2, authorization",
    "X-Hop: 1",
    "X-Hop-2: 2",
    "Keep-Alive: timeout=5",
    "TE: trailers",
    "Proxy-Connection: keep-alive",
    "Proxy-Authorization: Basic eDp5",
    "Upgrade: h2c",
    "HTTP2-Settings: AAMAAABkAAQAAP__",
    "X-Forwarded-For: 6.6.6.6",
    "x-forwarded-host: evil.test",
    "X-FORWARDED-PROTO: https",
    "X-Forwarded-Port: 1",
    "X-Real-IP: 6.6.6.6",
    "Forwarded: for=6.6.6.6",
    "X-Last: z",
    "",
    "",
  ].join("\r\n"));
  assert.equal((await wire.response()).status, 200);
  wire.close();
  const host = backend.origin.slice("http://".length);
  const { headers } = readHead(backend.last.head);
  // The client library of the connector puts Host in front and adds its own Connection.
  const own = headers.filter((_, i) => {
    const name = headers[i - (i % 2)]!.toLowerCase();
    return !["connection", "host", "via", "forwarded"].includes(name);
  });
  assert.equal(valueOf(headers, "host"), host);
  assert.match(valueOf(headers, "via")!, VIA);
  assert.equal(valueOf(headers, "forwarded"), `for=127.0.0.1;host="${HOST}";proto=http`);
  assert.deepEqual(own, [
    ...["x-first", "1", "X-Dup", "a", "x-dup", "b", "Accept", "*/*", "X-Latin", "caf\xe9 \x80\xff"],
    ...["X-Empty", "", "Cookie", "a=1", "Cookie", "b=2", "Authorization", "Basic eDp5", "X-Last", "z"],
    ...FORWARDED,
  ]);
});

test("the backend gets its own Host, or the user's where the app says so", async () => {
  backend.answers(ok);
  const wire = await plain();
  wire.send(`GET / HTTP/1.1\r\nHost: ${HOST.toUpperCase()}:8080\r\n\r\n`);
  await wire.response();
  assert.equal(valueOf(readHead(backend.last.head).headers, "host"), backend.origin.slice("http://".length));
  assert.equal(
    valueOf(readHead(backend.last.head).headers, "x-forwarded-host"),
    `${HOST.toUpperCase()}:8080`,
  );
  wire.send(`GET / HTTP/1.1\r\nHost: ${KEEPS}:8080\r\n\r\n`);
  await wire.response();
  assert.equal(valueOf(readHead(backend.last.head).headers, "host"), `${KEEPS}:8080`);
  wire.close();
  const user = await session();
  await request2(user, { ":path": "/", ":authority": KEEPS });
  const { headers } = readHead(backend.last.head);
  assert.equal(valueOf(headers, "host"), KEEPS);
  assert.equal(valueOf(headers, "x-forwarded-proto"), "https");
  user.destroy();
});

test("HTTP/2: cookie crumbs are joined, other headers kept as they are", async () => {
  backend.answers(ok);
  const user = await session();
  const { status } = await request2(user, [
    ...[":method", "GET", ":scheme", "https", ":authority", HOST, ":path", "/c"],
    ...[
      "x-a",
      "1",
      "cookie",
      "a=1",
      "x-a",
      "2",
      "cookie",
      "b=2",
      "x-latin",
      "\xe9\xff",
      "cookie",
      "c=3",
      "te",
      "trailers",
    ],
  ]);
  assert.equal(status, 200);
  const { headers } = readHead(backend.last.head);
  assert.equal(valueOf(headers, "cookie"), "a=1; b=2; c=3");
  assert.equal(headers.filter((name) => name === "cookie").length, 1);
  assert.equal(valueOf(headers, "x-a"), "1, 2");
  assert.equal(valueOf(headers, "x-latin"), "\xe9\xff");
  assert.equal(valueOf(headers, "te"), undefined);
  user.destroy();
});

test("response status, reason and headers survive; Set-Cookie is never joined", async () => {
  const lines = [
    "HTTP/1.1 299 Quite All Right \xc3\xa9",
    "x-b: 2",
    "X-A: 1",
    "Set-Cookie: a=1; Path=/",
    "set-cookie: b=2, c=3",
    "X-a: 3",
    "X-Latin: \x80caf\xe9\xff",
    "Connection: X-Hop, close",
    "X-Hop: 1",
    "Keep-Alive: timeout=5",
    "Proxy-Authenticate: Basic",
    "Date: Thu, 01 Jan 1970 00:00:00 GMT",
    "Content-Length: 2",
  ];
  backend.answers(({ socket }) => void socket.end(`${lines.join("\r\n")}\r\n\r\nok`, "latin1"));
  const wire = await plain();
  wire.send(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  const { status, reason, headers, body, end } = await wire.response();
  wire.close();
  assert.deepEqual([status, reason, body, end], [299, "Quite All Right \xc3\xa9", "ok", "length"]);
  const kept = headers.filter((_, i) => !/^(connection|keep-alive|via)$/i.test(headers[i - (i % 2)]!));
  assert.match(valueOf(headers, "via")!, VIA);
  assert.deepEqual(kept, [
    ...["x-b", "2", "X-A", "1", "Set-Cookie", "a=1; Path=/", "set-cookie", "b=2, c=3", "X-a", "3"],
    ...["X-Latin", "\x80caf\xe9\xff", "Date", "Thu, 01 Jan 1970 00:00:00 GMT", "Content-Length", "2"],
  ]);
  assert.equal(valueOf(headers, "connection"), "keep-alive");

  const user = await session();
  const over2 = await request2(user, { ":path": "/", ":authority": HOST });
  user.destroy();
  assert.deepEqual([over2.status, over2.body, over2.end], [299, "ok", "end"]);
  const names = over2.rawHeaders.filter((name, i) => i % 2 === 0 && name !== "date");
  assert.deepEqual(names, [
    ...[":status", "x-b", "x-a", "set-cookie", "set-cookie", "x-a", "x-latin", "content-length", "via"],
  ]);
  assert.deepEqual(over2.headers["set-cookie"], ["a=1; Path=/", "b=2, c=3"]);
});

test("headers that HTTP/2 has once at most, sent twice by a backend, neither fail nor get lost on HTTP/1.1", async () => {
  const twice =
    "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Type: c/d\r\nETag: 1\r\nETag: 2\r\nContent-Length: 2\r\n\r\nok";
  backend.answers(answer(twice));
  const wire = await plain();
  wire.send(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  assert.equal(valueOf((await wire.response()).headers, "content-type"), "a/b, c/d");
  wire.close();
  const user = await session();
  const response = await request2(user, { ":path": "/", ":authority": HOST });
  assert.deepEqual([response.status, response.body], [200, "ok"]);
  user.destroy();
});

test("trailers of a response survive on HTTP/1.1 and HTTP/2; those that frame or belong to a connection do not", async () => {
  const chunked = "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n";
  const trailers = "X-Sum: 1\r\nx-more: \xe9\r\nX-Sum: 2\r\n";
  const hostile =
    "Connection: X-Hop\r\nX-Hop: 1\r\nTransfer-Encoding: chunked\r\nKeep-Alive: 1\r\nContent-Type: a/b\r\nContent-Type: c/d\r\n";
  backend.answers(answer(`${chunked}${trailers}${hostile}\r\n`));
  const wire = await plain();
  wire.send(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  const response = await wire.response();
  assert.deepEqual([response.body, response.end], ["ok", "chunked"]);
  assert.equal(valueOf(response.trailers, "x-sum"), "1, 2");
  assert.equal(valueOf(response.trailers, "x-more"), "\xe9");
  for (const name of ["connection", "x-hop", "transfer-encoding", "keep-alive"]) {
    assert.equal(valueOf(response.trailers, name), undefined, name);
  }
  wire.close();
  const user = await session();
  const over2 = await request2(user, { ":path": "/", ":authority": HOST });
  assert.deepEqual([over2.status, over2.body, over2.end], [200, "ok", "end"]);
  assert.equal(over2.trailers["x-sum"], "1, 2");
  const after = await request2(user, { ":path": "/", ":authority": HOST });
  assert.equal(after.status, 200, "the broker still serves");
  user.destroy();
});

test("trailers that are announced and cannot follow are no reason to refuse the response", async () => {
  const head = "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nX-A: 1\r\n";
  const chunked = `${head}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n`;
  const cases = [
    ["HEAD", "1.1", `${head}Transfer-Encoding: chunked\r\n\r\n`, 200, "", undefined],
    ["GET", "1.1", `${head}Content-Length: 2\r\n\r\nok`, 200, "ok", undefined],
    ["GET", "1.1", "HTTP/1.1 304 Not Modified\r\nTrailer: X-Sum\r\nX-A: 1\r\n\r\n", 304, "", undefined],
    ["GET", "1.1", chunked, 200, "ok", "X-Sum"],
    ["GET", "1.0", chunked, 200, "ok", undefined],
  ] as const;
  for (const [method, version, text, status, body, announced] of cases) {
    backend.answers(answer(text));
    const wire = await plain();
    wire.send(`${method} / HTTP/${version}\r\nHost: ${HOST}\r\nConnection: close\r\n\r\n`);
    const response = await wire.response(method === "HEAD");
    assert.deepEqual([response.status, response.body], [status, body], text);
    assert.equal(valueOf(response.headers, "x-a"), "1");
    assert.equal(valueOf(response.headers, "trailer"), announced, text);
    wire.close();
  }
});

test("103 Early Hints comes before the response, on HTTP/1.1 and HTTP/2, and not to HTTP/1.0", async () => {
  const hints =
    "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nlink: </b.js>\r\nConnection: X-Hop\r\nX-Hop: 1\r\n" +
    "Content-Length: 5\r\n\r\n";
  backend.answers(answer(`${hints}${answerOk()}`));
  const wire = await plain();
  wire.send(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  const early = await wire.response();
  assert.equal(early.status, 103);
  assert.equal(valueOf(early.headers, "link"), "</a.css>; rel=preload, </b.js>");
  assert.equal(valueOf(early.headers, "connection"), undefined);
  assert.equal(valueOf(early.headers, "x-hop"), undefined);
  assert.equal(valueOf(early.headers, "content-length"), undefined);
  assert.equal((await wire.response()).status, 200);
  wire.close();
  const user = await session();
  const response = await request2(user, { ":path": "/", ":authority": HOST });
  assert.equal(response.status, 200);
  assert.deepEqual(
    response.informational.map((head) => [head[":status"], head.link, head["content-length"]]),
    [[103, "</a.css>; rel=preload, </b.js>", undefined]],
  );
  user.destroy();
  const old = await plain();
  old.send(`GET / HTTP/1.0\r\nHost: ${HOST}\r\n\r\n`);
  assert.equal((await old.response()).status, 200);
  old.close();
});

test("Expect: 100-continue is asked of the backend, end to end", async () => {
  backend.answers(({ socket }) => {
    socket.write("HTTP/1.1 100 Continue\r\n\r\n");
    socket.once("data", (body) => socket.write(answerOk(body.toString("latin1"))));
  });
  const head = `POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n`;
  const wire = await plain();
  wire.send(head);
  assert.equal((await wire.response()).status, 100);
  wire.send("body");
  assert.equal((await wire.response()).body, "body");
  wire.close();

  backend.answers(answer("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"));
  const refused = await plain();
  refused.send(head);
  const { status, body } = await refused.response();
  assert.deepEqual([status, body], [413, "no"]);
  refused.close();
});

test("HEAD, 204 and 304 have no body, whatever their Content-Length says, and 204 says none", async () => {
  const cases = [
    ["HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", "1000"],
    ["HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", undefined],
    ["GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: x\r\n\r\n", "1000"],
    ["GET", "HTTP/1.1 204 No Content\r\n\r\n", undefined],
    ["GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", undefined],
    ["GET", "HTTP/1.1 204 No Content\r\nX-A: 1\r\ncontent-length: 5\r\n\r\n", undefined],
    ["HEAD", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", undefined],
  ] as const;
  const wire = await plain();
  const user = await session();
  for (const [method, text, length] of cases) {
    backend.answers(answer(text));
    wire.send(`${method} / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
    const { headers } = await wire.response(true);
    assert.equal(valueOf(headers, "content-length"), length, text);
    const over2 = await request2(user, { ":path": "/", ":authority": HOST, ":method": method });
    assert.deepEqual([over2.body, over2.end, over2.headers["content-length"]], ["", "end", length], text);
    assert.equal(over2.headers["x-a"], valueOf(headers, "x-a"));
  }
  backend.answers(ok);
  wire.send(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  assert.equal((await wire.response()).body, "ok", "the connection is in step");
  wire.close();
  user.destroy();
});

test("205 with a body, which it must not have: over HTTP/1.1 it passes, over HTTP/2 the body is left out", async () => {
  const wire = await plain();
  const user = await session();
  for (
    const [text, length, body] of [
      ["Content-Length: 5\r\n\r\nhello", undefined, "hello"],
      ["Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", undefined, "hello"],
      ["Content-Length: 0\r\n\r\n", "0", ""],
    ]
  ) {
    backend.answers(answer(`HTTP/1.1 205 Reset Content\r\n${text}`));
    wire.send(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
    const over1 = await wire.response();
    assert.deepEqual([over1.status, over1.body, valueOf(over1.headers, "content-length")], [
      205,
      body,
      length,
    ]);
    const over2 = await request2(user, { ":path": "/", ":authority": HOST });
    assert.deepEqual([over2.status, over2.body, over2.end], [205, "", "end"]);
    assert.equal(over2.headers["content-length"], length);
  }
  wire.close();
  user.destroy();
});

test("a response without a length ends where the backend ended it; HTTP/1.0 gets it until the connection closes", async () => {
  backend.answers(({ socket }) => void socket.end("HTTP/1.1 200 OK\r\n\r\nall there is"));
  const wire = await plain();
  wire.send(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  const response = await wire.response();
  assert.deepEqual([response.body, response.end], ["all there is", "chunked"]);
  wire.close();
  const old = await plain();
  old.send(`GET / HTTP/1.0\r\nHost: ${HOST}\r\n\r\n`);
  const until = await old.response();
  assert.deepEqual([until.body, until.end], ["all there is", "close"]);
  old.close();
});

test("bodies of a few bytes and of some thousand arrive byte for byte, with a length and in chunks", async () => {
  const wire = await plain();
  for (const length of [1, 255, 256, 2_047, 2_048, 2_049, 5_000]) {
    // Every value of a byte, in an order that is none of text.
    const body = Buffer.from(Array.from({ length }, (_, i) => (i * 151 + length) & 0xff)).toString("latin1");
    const chunk = `${length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
    for (
      const rest of [`Content-Length: ${length}\r\n\r\n${body}`, `Transfer-Encoding: chunked\r\n\r\n${chunk}`]
    ) {
      backend.answers(answer(`HTTP/1.1 200 OK\r\n${rest}`));
      wire.send(`GET /bytes HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
      const { status, body: got } = await wire.response();
      assert.equal(status, 200);
      assert.equal(got, body, `${length} bytes`);
    }
  }
  wire.close();
});

test("HTTP/1.0 keep-alive, HTTP/1.1 keep-alive and pipelining keep their order", async () => {
  backend.answers(({ socket, head }) => {
    const [, target] = readHead(head).line.split(" ");
    // The first is the slowest: nothing may overtake it.
    setTimeout(() => socket.write(answerOk(target!)), target === "/1" ? 50 : 0);
  });
  const wire = await plain();
  const get = (target: string) => `GET ${target} HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`;
  wire.send(get("/1") + get("/2") + get("/3").slice(0, 10));
  wire.send(get("/3").slice(10));
  for (const target of ["/1", "/2", "/3"]) assert.equal((await wire.response()).body, target);
  wire.close();
  const old = await plain();
  for (const target of ["/1", "/2"]) {
    old.send(`GET ${target} HTTP/1.0\r\nHost: ${HOST}\r\nConnection: keep-alive\r\n\r\n`);
    assert.equal((await old.response()).body, target);
  }
  old.send(`GET /3 HTTP/1.0\r\nHost: ${HOST}\r\n\r\n`);
  assert.equal((await old.response()).body, "/3");
  assert.equal(await old.over(), "ended");
  old.close();
});

test("a status beyond 599 survives on HTTP/1.1; HTTP/2 cannot say it in Node: 502", async () => {
  backend.answers(answer("HTTP/1.1 999 Request Denied\r\nContent-Length: 2\r\n\r\nno"));
  const wire = await plain();
  wire.send(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  const { status, reason, body } = await wire.response();
  assert.deepEqual([status, reason, body], [999, "Request Denied", "no"]);
  wire.close();
  const user = await session();
  const over2 = await request2(user, { ":path": "/", ":authority": HOST });
  assert.deepEqual([over2.status, JSON.parse(over2.body).code], [502, "backend_bad_response"]);
  user.destroy();
  assert.equal(await stage.metric('sallyport_lanes_closed_total{reason="destroyed"}'), 0);
});

test("request bodies arrive whole: with length, chunked, empty", async () => {
  backend.answers(ok);
  const wire = await plain();
  const post = async (head: string, body: string) => {
    wire.send(`POST / HTTP/1.1\r\nHost: ${HOST}\r\n${head}\r\n\r\n`);
    wire.send(body);
    assert.equal((await wire.response()).status, 200, head);
    return backend.last;
  };
  assert.equal((await post("Content-Length: 5", "ab\r\n\xff")).body, "ab\r\n\xff");
  assert.equal((await post("Content-Length: 0", "")).body, "");
  const chunked = await post("Transfer-Encoding: Chunked", "3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  assert.equal(chunked.body.replace(/[0-9]+\r\n|\r\n/g, ""), "abcde");
  assert.equal(valueOf(readHead(chunked.head).headers, "transfer-encoding"), "chunked");
  wire.close();
  const user = await session();
  const post2 = { ":path": "/", ":authority": HOST, ":method": "POST" };
  await request2(user, { ...post2, "content-length": 3 }, "abc");
  assert.equal(backend.last.body, "abc");
  await request2(user, post2, "abc");
  assert.equal(backend.last.body.replace(/[0-9]+\r\n|\r\n/g, ""), "abc");
  await request2(user, { ...post2, "content-length": 0 }, "");
  assert.equal(valueOf(readHead(backend.last.head).headers, "content-length"), "0");
  user.destroy();
});
