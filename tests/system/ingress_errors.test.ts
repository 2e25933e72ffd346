/** What users are told when a request cannot be served, and which requests are refused, through broker and connector. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import { publicCertificate } from "../support/public_certificate.ts";
import { http2User, request2 } from "../support/http2_user.ts";
import { type IngressStage, ingressStage } from "../support/ingress_stage.ts";
import { answerOk } from "../support/raw_backend.ts";
import { type StagedBackend, stagedBackend } from "../support/staged_backend.ts";
import { until } from "../support/until.ts";
import { valueOf, Wire } from "../support/wire.ts";

const HOST = "works.example.test";

let stage: IngressStage;
let backend: StagedBackend;
let silent: Server;
let untrusted: Server;

const portOf = (server: Server) => (server.address() as AddressInfo).port;

before(async () => {
  backend = await stagedBackend(({ socket, head }) => {
    if (!head.startsWith("GET /silent")) socket.write(answerOk());
  });
  silent = createServer((socket) => void socket.on("error", () => {}).resume()).listen(0, "127.0.0.1");
  await once(silent, "listening");
  untrusted = createTlsServer(await publicCertificate("127.0.0.1.example.test")).listen(0, "127.0.0.1");
  untrusted.on("tlsClientError", () => {});
  await once(untrusted, "listening");
  const ports = [1, backend.raw.port, portOf(silent), portOf(untrusted)];
  const allow = [...ports.map((port) => `127.0.0.1:${port}`), "nowhere.invalid:*"].join(",");
  stage = await ingressStage({
    broker: [
      "--wait-for-connector-ms",
      "50",
      "--max-request-head-bytes",
      "8192",
      "--max-request-headers",
      "20",
    ],
    connector: ["--allow", allow],
  });
  const timeouts = { connectMs: 200, responseHeadMs: 100, idleMs: 100 };
  const silentOrigin = `http://127.0.0.1:${portOf(silent)}`;
  await stage.publish("works", `http://${HOST}`, backend.origin);
  await stage.publish("silent", "http://silent.example.test", silentOrigin, { timeouts });
  await stage.publish("refused", "http://refused.example.test", "http://127.0.0.1:1");
  await stage.publish("forbidden", "http://forbidden.example.test", "http://127.0.0.1:9");
  await stage.publish("nameless", "http://nameless.example.test", "http://nowhere.invalid");
  await stage.publish("tls", "http://tls.example.test", `https://127.0.0.1:${portOf(untrusted)}`);
  const group = await stage.broker.admin.request("POST", "groups", { name: "Empty" }) as { id: string };
  const away = {
    name: "away",
    groupId: group.id,
    externalUrls: ["http://away.example.test"],
    internalUrl: backend.origin,
  };
  await stage.broker.admin.request("POST", "apps", away);
});
after(async () => {
  await stage?.[Symbol.asyncDispose]();
  await backend?.[Symbol.asyncDispose]();
  silent?.close();
  untrusted?.close();
});

const plain = () => Wire.plain(stage.plainPort);

/** Metrics count the finer code of the connector, where there is one. */
const FAILURES: [host: string, status: number, code: string, counted?: string][] = [
  ["nobody.example.test", 404, "no_app"],
  ["away.example.test", 503, "no_connector"],
  ["refused.example.test", 502, "backend_refused"],
  ["silent.example.test", 504, "backend_timeout"],
  ["forbidden.example.test", 502, "backend_not_allowed"],
  ["nameless.example.test", 502, "backend_unreachable", "backend_dns_failed"],
  ["tls.example.test", 502, "backend_tls_failed", "backend_tls_untrusted"],
];

test("what could not be served is in the broker's log, by request id and code, while the session log is off", async () => {
  const wire = await plain();
  wire.send("GET /x?secret HTTP/1.1\r\nHost: tls.example.test\r\n\r\n");
  const id = valueOf((await wire.response()).headers, "x-request-id")!;
  wire.close();
  const line = await until(
    "it is in the log",
    () => stage.broker.child.lastLog.find((text) => text.includes(id)),
  );
  const { level, code, status, app } = JSON.parse(line);
  assert.deepEqual([level, code, status, app], ["warn", "backend_tls_untrusted", 502, "tls"]);
  assert.doesNotMatch(line, /secret/);
});

for (const [host, status, code, counted = code] of FAILURES) {
  test(`${code}: ${status} for ${host}, as a page or a problem, with code and request id`, async () => {
    for (const accept of ["text/html,*/*;q=0.8", "application/json"]) {
      const wire = await plain();
      wire.send(`GET /x?secret HTTP/1.1\r\nHost: ${host}\r\nAccept: ${accept}\r\n\r\n`);
      const response = await wire.response();
      const id = valueOf(response.headers, "x-request-id")!;
      assert.equal(response.status, status);
      assert.ok(id.length > 5);
      assert.ok(
        response.body.includes(code) && response.body.includes(id) && !response.body.includes("secret"),
      );
      const type = valueOf(response.headers, "content-type")!;
      assert.match(type, accept.startsWith("text") ? /^text\/html/ : /^application\/problem\+json/);
      if (!accept.startsWith("text")) assert.equal(JSON.parse(response.body).status, status);
      assert.equal(valueOf(response.headers, "retry-after") !== undefined, status === 503);
      // The connection goes on.
      wire.send(`HEAD / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      assert.equal((await wire.response(true)).status, status);
      wire.send(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
      assert.equal((await wire.response()).body, "ok");
      wire.close();
    }
    assert.ok(await stage.metric(`sallyport_errors_total{code="${counted}"}`) >= 1);
  });
}

test("HTTP/2: the same codes", async () => {
  for (const [host, status, code] of FAILURES) {
    const user = await http2User({ port: stage.tlsPort, servername: HOST, ca: stage.ca });
    const response = await request2(user, { ":path": "/", ":authority": host });
    assert.deepEqual([response.status, JSON.parse(response.body).code], [status, code]);
    user.destroy();
  }
});

const LONG = "x".repeat(9_000);
const MANY = Array.from({ length: 25 }, (_, i) => `X-${i}: 1\r\n`).join("");
const REFUSED: [name: string, bytes: string, status: number][] = [
  ["no Host", "GET / HTTP/1.1\r\n\r\n", 400],
  ["an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400],
  ["two Hosts", `GET / HTTP/1.1\r\nHost: ${HOST}\r\nHost: ${HOST}\r\n\r\n`, 400],
  ["a Host with user information", `GET / HTTP/1.1\r\nHost: a@${HOST}\r\n\r\n`, 400],
  ["a Host with a path", `GET / HTTP/1.1\r\nHost: ${HOST}/x\r\n\r\n`, 400],
  ["a Host with a space", `GET / HTTP/1.1\r\nHost: a ${HOST}\r\n\r\n`, 400],
  [
    "another host in the absolute form",
    `GET http://other.example.test/ HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`,
    400,
  ],
  ["a target without a slash", `GET index.html HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`, 400],
  ["a path above the root", `GET /../x HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`, 400],
  ["a fragment", `GET /x#y HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`, 400],
  ["a NUL", `GET / HTTP/1.1\r\nHost: ${HOST}\r\nX: \0\r\n\r\n`, 400],
  ["a folded line", `GET / HTTP/1.1\r\nHost: ${HOST}\r\nX: 1\r\n  2\r\n\r\n`, 400],
  ["a space before the colon", `GET / HTTP/1.1\r\nHost : ${HOST}\r\n\r\n`, 400],
  [
    "another coding",
    `POST / HTTP/1.1\r\nHost: ${HOST}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    400,
  ],
  [
    "two codings",
    `POST / HTTP/1.1\r\nHost: ${HOST}\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    400,
  ],
  [
    "a coding that only looks like chunked",
    `POST / HTTP/1.1\r\nHost: ${HOST}\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
    400,
  ],
  [
    "a coding in HTTP/1.0",
    `POST / HTTP/1.0\r\nHost: ${HOST}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    400,
  ],
  [
    "length and coding",
    `POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    400,
  ],
  ["two lengths", `POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx`, 400],
  ["a length that is none", `POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: +1\r\n\r\nx`, 400],
  ["an unknown method", `BREW / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`, 400],
  ["CONNECT", `CONNECT ${HOST}:443 HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`, 400],
  ["HTTP/2 by word of mouth", `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`, 400],
  ["a head too large", `GET / HTTP/1.1\r\nHost: ${HOST}\r\nX: ${LONG}\r\n\r\n`, 431],
  ["a target too large", `GET /${LONG} HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`, 414],
  ["too many headers", `GET / HTTP/1.1\r\nHost: ${HOST}\r\n${MANY}\r\n`, 431],
];

test("malformed and ambiguous requests are refused, and no backend sees them", async () => {
  backend.answers(({ socket }) => void socket.write(answerOk()));
  const wrong: string[] = [];
  for (const [name, bytes, status] of REFUSED) {
    const wire = await plain();
    wire.send(bytes);
    const response = await wire.response().catch((error) => ({ status: 0, body: String(error) }));
    if (response.status !== status) wrong.push(`${name}: ${response.status} instead of ${status}`);
    // Node itself answers that one, without a body.
    else if (name !== "no Host" && !response.body.includes("requestId")) {
      wrong.push(`${name}: ${response.body}`);
    }
    wire.close();
  }
  assert.deepEqual(wrong, []);
  assert.equal(backend.raw.requests.length, 0);
});

test("HTTP/2: what cannot be forwarded unambiguously is refused, and no backend sees it", async () => {
  backend.answers(({ socket }) => void socket.write(answerOk()));
  const refused: [name: string, headers: Record<string, string>, status: number][] = [
    ["host other than :authority", { ":authority": HOST, host: "other.example.test" }, 400],
    ["an :authority with user information", { ":authority": `a@${HOST}` }, 400],
    ["a path above the root", { ":authority": HOST, ":path": "/../x" }, 400],
    ["no slash", { ":authority": HOST, ":path": "x" }, 400],
    ["CONNECT", { ":authority": HOST, ":method": "CONNECT" }, 405],
  ];
  const wrong: string[] = [];
  for (const [name, headers, status] of refused) {
    const user = await http2User({ port: stage.tlsPort, servername: HOST, ca: stage.ca });
    const response = await request2(
      user,
      headers[":method"] === "CONNECT" ? headers : { ":path": "/", ...headers },
    );
    // Some of these nghttp2 refuses by itself, with a reset.
    const reset = response.status === 0 && response.end !== "end";
    if (response.status !== status && !reset) wrong.push(`${name}: ${response.status} instead of ${status}`);
    user.destroy();
  }
  const user = await http2User({ port: stage.tlsPort, servername: HOST, ca: stage.ca });
  const many = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`x-${i}`, "1"]));
  const response = await request2(user, { ":path": "/", ":authority": HOST, ...many });
  if (response.status !== 431 && response.end === "end") wrong.push(`too many headers: ${response.status}`);
  user.destroy();
  assert.deepEqual(wrong, []);
  assert.equal(backend.raw.requests.length, 0);
});
