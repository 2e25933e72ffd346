/** WebSockets of users who speak HTTP/2 (RFC 8441), with real WebSocket servers behind the connector. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { type ClientHttp2Session, type ClientHttp2Stream, constants } from "node:http2";
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2";
import type { Socket } from "node:net";
import { after, afterEach, before, test } from "node:test";
import { http2User, request2 } from "../support/http2_user.ts";
import { type IngressStage, ingressStage } from "../support/ingress_stage.ts";
import { headBackend, readHead } from "../support/staged_backend.ts";
import { closesTell, echoes, heldBack, pingsPass } from "../support/websocket_checks.ts";
import {
  closing,
  echo,
  nextMessage,
  type WebSocket,
  type WebsocketBackend,
  websocketBackend,
  websocketOver,
} from "../support/websocket_peers.ts";
import { valueOf } from "../support/wire.ts";

const HOST = "ws2.example.test";
const QUIET = "quiet2.example.test";
const RAW = "raw2.example.test";
const MEBIBYTE = 1024 * 1024;
const IDLE_MS = 2_000;

let stage: IngressStage;
let backend: WebsocketBackend;
let session: ClientHttp2Session;
const raw = await headBackend();

before(async () => {
  stage = await ingressStage();
  backend = await websocketBackend();
  await stage.publish("ws", `https://${HOST}`, backend.origin);
  await stage.publish("quiet", `https://${QUIET}`, backend.origin, { timeouts: { upgradedIdleMs: IDLE_MS } });
  await stage.publish("raw", `https://${RAW}`, raw.origin);
  session = await http2User({ port: stage.tlsPort, servername: HOST, ca: stage.ca });
  session.setLocalWindowSize(4 * MEBIBYTE);
  while (session.remoteSettings.enableConnectProtocol !== true) await once(session, "remoteSettings");
});
after(async () => {
  session?.destroy();
  await stage?.[Symbol.asyncDispose]();
  await backend?.[Symbol.asyncDispose]();
  await raw[Symbol.asyncDispose]();
});
afterEach(() => {
  backend.serve = echo;
  backend.refuse = null;
  backend.headers = [];
});

/** The headers that ask for a WebSocket. */
const asking = (more: OutgoingHttpHeaders = {}): OutgoingHttpHeaders => ({
  ":method": "CONNECT",
  ":protocol": "websocket",
  ":scheme": "https",
  ":authority": HOST,
  ":path": "/",
  "sec-websocket-version": "13",
  ...more,
});

/** Asks; the stream and the head of its answer. */
async function ask(
  more: OutgoingHttpHeaders = {},
): Promise<{ stream: ClientHttp2Stream; head: IncomingHttpHeaders; rawHeaders: string[] }> {
  const stream = session.request(asking(more), { endStream: false });
  stream.on("error", () => {});
  const [head, , rawHeaders] = await once(stream, "response") as [IncomingHttpHeaders, number, string[]];
  return { stream, head, rawHeaders };
}

/** An open WebSocket: its two ends, and the user's stream. */
async function pair(): Promise<{ client: WebSocket; server: WebSocket; stream: ClientHttp2Stream }> {
  const accepted = new Promise<WebSocket>((resolve) => backend.serve = resolve);
  const { stream, head } = await ask();
  assert.equal(head[":status"], 200);
  return { client: websocketOver(stream), server: await accepted, stream };
}

/** A connection of another kind of WebSocket server: one that agrees, and then is only bytes. */
async function rawPair(): Promise<{ stream: ClientHttp2Stream; server: Socket }> {
  const server = new Promise<Socket>((resolve) => {
    raw.answer = (socket, head) => {
      socket.write(agreement(head));
      resolve(socket);
    };
  });
  const { stream, head } = await ask({ ":authority": RAW });
  assert.equal(head[":status"], 200);
  return { stream, server: await server };
}

function agreement(head: string): string {
  const key = valueOf(readHead(head).headers, "sec-websocket-key");
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
    `Sec-WebSocket-Accept: ${accept}\r\n\r\n`;
}

test("extended CONNECT is offered, and the handshake keeps every header both ways but key and answer", async () => {
  assert.equal(session.remoteSettings.enableConnectProtocol, true);
  let asked!: IncomingMessage;
  backend.headers = ["Set-Cookie: a=1; Path=/", "Set-Cookie: b=2", "X-Served: yes"];
  backend.serve = (socket, request) => {
    asked = request;
    echo(socket);
  };
  const { stream, head } = await ask({
    ":path": "/chat?x=%20y",
    "origin": "https://page.example",
    "cookie": ["c=1", "d=2"],
    "x-asked": "1",
    "sec-websocket-protocol": "other, super",
    "sec-websocket-extensions": "permessage-deflate; client_max_window_bits",
    // Of no meaning here, and not to be mixed up with ours.
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  });
  assert.equal(head[":status"], 200);
  assert.deepEqual(head["set-cookie"], ["a=1; Path=/", "b=2"]);
  assert.deepEqual([head["x-served"], head["sec-websocket-protocol"]], ["yes", "super"]);
  assert.match(String(head["sec-websocket-extensions"]), /^permessage-deflate/);
  for (const name of ["sec-websocket-accept", "upgrade", "connection"]) assert.equal(head[name], undefined);
  assert.deepEqual([asked.method, asked.url], ["GET", "/chat?x=%20y"]);
  const { headers } = asked;
  assert.deepEqual(
    [headers.cookie, headers.origin, headers["x-asked"], headers["sec-websocket-version"]],
    ["c=1; d=2", "https://page.example", "1", "13"],
  );
  assert.deepEqual([headers.upgrade, headers.connection?.toLowerCase()], ["websocket", "upgrade"]);
  assert.equal(headers["sec-websocket-protocol"], "other, super");
  assert.match(headers["sec-websocket-key"] ?? "", /^[A-Za-z0-9+/]{22}==$/);
  assert.notEqual(headers["sec-websocket-key"], "dGhlIHNhbXBsZSBub25jZQ==");
  assert.equal(headers["x-forwarded-host"], HOST);
  stream.close(constants.NGHTTP2_CANCEL);
  await stage.lanesIdle();
});

test("messages of every size come back, 100 MiB too; close codes, pings and pongs pass both ways", async () => {
  const { client, server } = await pair();
  echo(server);
  await echoes(client, [100 * MEBIBYTE]);
  await pingsPass({ client, server });
  client.terminate();
  await closesTell(pair);
  await stage.lanesIdle();
});

test("while a reader waits, no process between keeps more than a window of 100 MiB, in either direction", async () => {
  const { client, server } = await pair();
  await heldBack({ client, server }, stage);
  client.terminate();
  await stage.lanesIdle();
});

test("each side may end its own direction first and still be told the rest of the other", async () => {
  const { stream, server } = await rawPair();
  let heard = "";
  server.on("data", (bytes) => heard += bytes);
  const ended = once(server, "end");
  stream.end("last of the user");
  await ended;
  assert.equal(heard, "last of the user");
  let said = "";
  stream.setEncoding("latin1").on("data", (text) => said += text);
  server.write("later, ");
  server.end("bye");
  await once(stream, "close");
  assert.deepEqual([said, stream.rstCode], ["later, bye", 0]);
  await stage.lanesIdle();

  const other = await rawPair();
  let after = "";
  other.server.on("data", (bytes) => after += bytes);
  other.stream.resume();
  const over = once(other.stream, "end");
  other.server.end();
  await over;
  const last = once(other.server, "end");
  other.stream.end("later");
  await last;
  assert.equal(after, "later");
  if (!other.stream.destroyed) await once(other.stream, "close");
  assert.equal(other.stream.rstCode, 0);
  await stage.lanesIdle();
});

test("a user who ends before the handshake is answered is heard to end", { timeout: 30_000 }, async () => {
  const ended = new Promise<void>((resolve) => {
    raw.answer = (socket, head) => {
      socket.on("end", () => {
        socket.end("bye");
        resolve();
      });
      socket.resume();
      socket.write(agreement(head));
    };
  });
  const stream = session.request(asking({ ":authority": RAW }), { endStream: false });
  stream.end();
  let said = "";
  stream.setEncoding("latin1").on("data", (text) => said += text);
  await ended;
  if (!stream.destroyed) await once(stream, "close");
  assert.deepEqual([said, stream.rstCode], ["bye", 0]);
  await stage.lanesIdle();
});

test("a reset of either side resets the other; a session that goes takes all of its connections along", async () => {
  const broken = await rawPair();
  broken.stream.resume();
  broken.server.resetAndDestroy();
  await once(broken.stream, "close");
  assert.equal(broken.stream.rstCode, constants.NGHTTP2_CANCEL);

  for (const code of [constants.NGHTTP2_CANCEL, constants.NGHTTP2_INTERNAL_ERROR]) {
    const { stream, server } = await rawPair();
    const gone = Promise.race([once(server, "close"), once(server, "end")]);
    server.resume();
    stream.close(code);
    await gone;
    server.end();
  }
  const waits = new Promise<Socket>((resolve) => raw.answer = resolve);
  const early = session.request(asking({ ":authority": RAW }), { endStream: false });
  early.on("error", () => {});
  const asked = await waits;
  const left = Promise.race([once(asked, "close"), once(asked, "end")]);
  asked.resume();
  early.close(constants.NGHTTP2_CANCEL);
  await left;
  asked.end();

  const home = session;
  session = await http2User({ port: stage.tlsPort, servername: HOST, ca: stage.ca });
  const others = await Promise.all([1, 2, 3].map(() => ask()));
  assert.equal(backend.open.size, 3);
  const all = [...backend.open].map((socket) => closing(socket));
  session.destroy();
  assert.deepEqual((await Promise.all(all)).map(({ code }) => code), [1006, 1006, 1006]);
  assert.equal(others.length, 3);
  session = home;
  await stage.lanesIdle();
});

test("a handshake that is refused is an ordinary response, headers and body; success other than 101 is none", async () => {
  backend.refuse = (_request, socket) =>
    void socket.end(
      "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\nSet-Cookie: s=1\r\nContent-Length: 12\r\n" +
        "Connection: close\r\n\r\nwho are you?",
    );
  const refused = await request2(session, asking(), undefined);
  assert.deepEqual([refused.status, refused.body, refused.end], [401, "who are you?", "end"]);
  assert.deepEqual([refused.headers["www-authenticate"], refused.headers["set-cookie"]], ["Negotiate", [
    "s=1",
  ]]);
  backend.refuse = (_request, socket) =>
    void socket.end("HTTP/1.1 302 Go\r\nLocation: /login\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  const { stream, head } = await ask();
  assert.deepEqual([head[":status"], head.location], [302, "/login"]);
  stream.resume();
  if (!stream.destroyed) await once(stream, "close"); // Though our side is open.
  for (
    const answer of [
      "HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno",
      "HTTP/1.1 204 None\r\nConnection: close\r\n\r\n",
      "HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n",
      "HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
      "HTTP/1.1 101 Go\r\nConnection: Upgrade\r\n\r\n",
    ]
  ) {
    backend.refuse = (_request, socket) => void socket.end(answer);
    const response = await request2(session, asking());
    assert.deepEqual([response.status, JSON.parse(response.body).code], [502, "backend_bad_response"]);
  }
  await stage.lanesIdle();
});

test("plain CONNECT, other protocols and what has no app get an answer that says so, and the session goes on", async () => {
  const cases: [OutgoingHttpHeaders, number, string][] = [
    [{ ":method": "CONNECT", ":authority": `${HOST}:443` }, 405, "method_not_allowed"],
    [asking({ ":protocol": "connect-udp" }), 501, "protocol_not_served"],
    [asking({ ":authority": "nobody.example.test" }), 404, "no_app"],
    [asking({ ":path": "/..%2fx" }), 400, "bad_request"],
    [asking({ "content-length": "0" }), 400, "bad_request"],
  ];
  for (const [headers, status, code] of cases) {
    const stream = session.request(headers, { endStream: false });
    stream.on("error", () => {});
    const [head] = await once(stream, "response") as [IncomingHttpHeaders];
    let body = "";
    stream.setEncoding("utf8").on("data", (text) => body += text);
    await once(stream, "close"); // Our side is still open: the broker lets go of it.
    assert.deepEqual([head[":status"], JSON.parse(body).code], [status, code]);
  }
  const { client, server } = await pair();
  echo(server);
  client.send("still here");
  assert.equal(String(await nextMessage(client)), "still here");
  client.terminate();
  await stage.lanesIdle();
});

test("a connection that is silent for longer than the app's setting is reset; one with traffic is not", async () => {
  const talking = await ask({ ":authority": QUIET });
  const client = websocketOver(talking.stream);
  const timer = setInterval(() => client.ping(), IDLE_MS / 20);
  try {
    const { stream } = await ask({ ":authority": QUIET });
    stream.resume();
    await once(stream, "close");
    assert.equal(stream.rstCode, constants.NGHTTP2_CANCEL);
    // What goes on here does so within the event of this stream: to close another one of the session there can abort Node.
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    clearInterval(timer);
  }
  assert.equal(client.readyState, client.OPEN);
  client.terminate();
  await stage.lanesIdle();
});
