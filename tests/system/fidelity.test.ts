/** What must arrive as it was sent up to the limits, and the status that says which limit was passed. */
import assert from "node:assert/strict";
import type { ClientHttp2Session } from "node:http2";
import { after, before, test } from "node:test";
import { http2User, request2 } from "../support/http2_user.ts";
import { type IngressStage, ingressStage } from "../support/ingress_stage.ts";
import { answerOk, type RawRequest } from "../support/raw_backend.ts";
import { readHead, type StagedBackend, stagedBackend } from "../support/staged_backend.ts";
import { valueOf, Wire } from "../support/wire.ts";

const HOST = "fidelity.example.test";
const KIB = 1024;
/** Header lines and bytes of a request head. */
const MAX_HEADERS = 200;
const MAX_HEAD_BYTES = 64 * KIB;

let stage: IngressStage;
let backend: StagedBackend;
let user: ClientHttp2Session;

before(async () => {
  stage = await ingressStage();
  backend = await stagedBackend(ok);
  await stage.publish("fidelity", `http://${HOST}`, backend.origin);
  user = await session();
});
after(async () => {
  user?.destroy();
  await stage?.[Symbol.asyncDispose]();
  await backend?.[Symbol.asyncDispose]();
});

function ok({ socket }: RawRequest): void {
  socket.write(answerOk(), "latin1");
}

const session = () => http2User({ port: stage.tlsPort, servername: HOST, ca: stage.ca });
const plain = () => Wire.plain(stage.plainPort);

/** One request on a connection of its own; its status, and whether the connection is still in step. */
async function status1(head: string): Promise<number> {
  const wire = await plain();
  wire.send(head);
  const { status } = await wire.response();
  wire.close();
  return status;
}

const fields = (count: number) => Array.from({ length: count }, (_, i) => `x-${i}`);

test("as many headers as the limit allows arrive in order, one more is 431", async () => {
  backend.answers(ok);
  const many = (count: number) =>
    `GET / HTTP/1.1\r\nHost: ${HOST}\r\n${fields(count - 1).map((name) => `${name}: 1\r\n`).join("")}\r\n`;
  assert.equal(await status1(many(MAX_HEADERS)), 200);
  const { headers } = readHead(backend.last.head);
  assert.deepEqual(headers.filter((name) => /^x-\d+$/.test(name)), fields(MAX_HEADERS - 1));
  assert.equal(await status1(many(MAX_HEADERS + 1)), 431);
});

test("HTTP/2: as many headers as the limit allows arrive in order, one more is 431", async () => {
  backend.answers(ok);
  const many = (count: number) => [
    ...[":method", "GET", ":scheme", "https", ":authority", HOST, ":path", "/"],
    ...fields(count).flatMap((name) => [name, "1"]),
  ];
  assert.equal((await request2(user, many(MAX_HEADERS))).status, 200);
  const { headers } = readHead(backend.last.head);
  assert.deepEqual(headers.filter((name) => /^x-\d+$/.test(name)), fields(MAX_HEADERS));
  const { status, end } = await request2(user, many(MAX_HEADERS + 1));
  assert.deepEqual([status, end], [431, "end"]);
  assert.equal((await request2(user, many(1))).status, 200, "the connection goes on");
});

test("a head of just under 64 KiB arrives, a larger one is 431, on HTTP/1.1 and HTTP/2", async () => {
  backend.answers(ok);
  const head = (bytes: number) => `GET / HTTP/1.1\r\nHost: ${HOST}\r\nx-big: ${"b".repeat(bytes)}\r\n\r\n`;
  assert.equal(await status1(head(MAX_HEAD_BYTES - KIB)), 200);
  assert.equal(valueOf(readHead(backend.last.head).headers, "x-big")?.length, MAX_HEAD_BYTES - KIB);
  assert.equal(await status1(head(MAX_HEAD_BYTES + KIB)), 431);
  const over2 = async (bytes: number) =>
    await request2(user, {
      ":path": "/",
      ":authority": HOST,
      "x-big": "b".repeat(bytes / 2),
      "x-big-too": "b".repeat(bytes / 2),
    });
  assert.equal((await over2(MAX_HEAD_BYTES - KIB)).status, 200);
  assert.equal(valueOf(readHead(backend.last.head).headers, "x-big-too")?.length, (MAX_HEAD_BYTES - KIB) / 2);
  const { status, end } = await over2(MAX_HEAD_BYTES + KIB);
  assert.deepEqual([status, end], [431, "end"]);
  assert.equal((await over2(1)).status, 200, "the connection goes on");
});

test("a target of just under 64 KiB arrives byte for byte, a longer one is 414, on HTTP/1.1 and HTTP/2", async () => {
  backend.answers(ok);
  const target = (bytes: number) =>
    `/${"a/../b//%2e".repeat(Math.ceil(bytes / 11))}`.slice(0, bytes - 3) + "/xy";
  const head = (bytes: number) => `GET ${target(bytes)} HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`;
  const longest = MAX_HEAD_BYTES - KIB;
  assert.equal(await status1(head(longest)), 200);
  assert.ok(readHead(backend.last.head).line === `GET ${target(longest)} HTTP/1.1`);
  assert.equal(await status1(head(MAX_HEAD_BYTES + KIB)), 414);
  // nghttp2 takes no value over 64 KiB: it ends the connection.
  const over2 = async (bytes: number, more = 0) =>
    await request2(user, { ":path": target(bytes), ":authority": HOST, "x-more": "m".repeat(more) });
  assert.equal((await over2(longest)).status, 200);
  assert.ok(readHead(backend.last.head).line === `GET ${target(longest)} HTTP/1.1`);
  const { status, end } = await over2(longest, KIB);
  assert.deepEqual([status, end], [414, "end"]);
  assert.equal((await over2(10)).status, 200, "the connection goes on");
});

test("what an HTTP/1.1 backend sees of Host, Connection and Content-Length: place and case", async () => {
  backend.answers(ok);
  const seen = async (line: string, rest: string) => {
    assert.equal(await status1(`${line} HTTP/1.1\r\nX-Aa: 1\r\nHOST: ${HOST}\r\nX-b: 2\r\n${rest}`), 200);
    const added = /^(x-forwarded-.*|via|forwarded)$/i;
    return readHead(backend.last.head).headers.filter((name, i) => i % 2 === 0 && !added.test(name));
  };
  assert.deepEqual(await seen("GET /", "\r\n"), ["host", "connection", "X-Aa", "X-b"]);
  assert.deepEqual(
    await seen("POST /", "Content-Length: 1\r\n\r\na"),
    ["host", "connection", "X-Aa", "X-b", "content-length"],
  );
  assert.deepEqual(
    await seen("POST /", "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"),
    ["X-Aa", "HOST", "X-b", "Transfer-Encoding", "Connection"],
  );
  assert.deepEqual(await seen("OPTIONS *", "\r\n"), ["X-Aa", "HOST", "X-b", "Connection"]);
});

test("bytes 0x80 to 0xFF of headers survive both ways, on HTTP/1.1 and HTTP/2", async () => {
  const high = Array.from({ length: 128 }, (_, i) => String.fromCharCode(0x80 + i)).join("");
  backend.answers(({ socket }) => void socket.write(answerOk("ok", `x-high: ${high}\r\n`), "latin1"));
  const wire = await plain();
  wire.send(`GET / HTTP/1.1\r\nHost: ${HOST}\r\nx-high: ${high}\r\n\r\n`);
  assert.equal(valueOf((await wire.response()).headers, "x-high"), high);
  wire.close();
  assert.equal(valueOf(readHead(backend.last.head).headers, "x-high"), high);
  const { headers } = await request2(user, { ":path": "/", ":authority": HOST, "x-high": high });
  assert.equal(headers["x-high"], high);
  assert.equal(valueOf(readHead(backend.last.head).headers, "x-high"), high);
});

test("OPTIONS * and absolute-form over HTTP/2 and HTTP/1.1", async () => {
  backend.answers(ok);
  const { status } = await request2(user, { ":method": "OPTIONS", ":path": "*", ":authority": HOST });
  assert.equal(status, 200);
  assert.equal(readHead(backend.last.head).line, "OPTIONS * HTTP/1.1");
  const target = "/a/../b//c%2e%2e?x=%zz";
  assert.equal(await status1(`GET http://${HOST}${target} HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`), 200);
  assert.equal(readHead(backend.last.head).line, `GET ${target} HTTP/1.1`);
});

test("HTTP/2: a request with Cookie crumbs has one Cookie, in their order, also beside a large one", async () => {
  backend.answers(ok);
  const large = "v".repeat(20 * KIB);
  const { status } = await request2(user, [
    ...[":method", "GET", ":scheme", "https", ":authority", HOST, ":path", "/"],
    ...["cookie", "a=1", "x-between", "1", "cookie", `b=${large}`, "cookie", "c=3; d=4"],
  ]);
  assert.equal(status, 200);
  const { headers } = readHead(backend.last.head);
  assert.equal(valueOf(headers, "cookie"), `a=1; b=${large}; c=3; d=4`);
});

test("a response's headers up to 64 KiB arrive on HTTP/1.1 and HTTP/2, in order, Set-Cookie one by one", async () => {
  const cookies = Array.from({ length: 100 }, (_, i) => `c${i}=${"v".repeat(500)}; Path=/`);
  const lines = cookies.map((cookie) => `Set-Cookie: ${cookie}\r\n`).join("");
  backend.answers(({ socket }) => void socket.write(answerOk("ok", lines)));
  const wire = await plain();
  wire.send(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  const { headers } = await wire.response();
  wire.close();
  assert.deepEqual(
    headers.filter((_, i) => headers[i - 1]?.toLowerCase() === "set-cookie" && i % 2 === 1),
    cookies,
  );
  const over2 = await request2(user, { ":path": "/", ":authority": HOST });
  assert.deepEqual(over2.headers["set-cookie"], cookies);
});
