/** Real WebSocket clients and servers with broker and connector between them, over HTTP/1.1. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { after, afterEach, before, test } from "node:test";
import { type IngressStage, ingressStage } from "../support/ingress_stage.ts";
import { headBackend } from "../support/staged_backend.ts";
import { closesTell, echoes, heldBack, pingsPass } from "../support/websocket_checks.ts";
import {
  closing,
  dialWebsocket,
  echo,
  openWebsocket,
  sendInParts,
  untilStuck,
  type WebSocket,
  type WebsocketBackend,
  websocketBackend,
} from "../support/websocket_peers.ts";
import { valueOf, Wire } from "../support/wire.ts";

const HOST = "ws.example.test";
const QUIET = "quiet.example.test";
const FAKE = "fake.example.test";
const MEBIBYTE = 1024 * 1024;
/** Silence after which connections of one app end. */
const IDLE_MS = 2_000;

let stage: IngressStage;
let backend: WebsocketBackend;
const fake = await headBackend();

before(async () => {
  stage = await ingressStage();
  backend = await websocketBackend();
  await stage.publish("ws", [`http://${HOST}`, "http://127.0.0.1"], backend.origin);
  await stage.publish("quiet", `http://${QUIET}`, backend.origin, {
    timeouts: { upgradedIdleMs: IDLE_MS },
  });
  await stage.publish("fake", `http://${FAKE}`, fake.origin);
});
after(async () => {
  await stage?.[Symbol.asyncDispose]();
  await backend?.[Symbol.asyncDispose]();
  await fake[Symbol.asyncDispose]();
});
afterEach(() => {
  backend.serve = echo;
  backend.refuse = null;
  backend.headers = [];
});

const plain = (path = "/") => `ws://127.0.0.1:${stage.plainPort}${path}`;
const tls = (path = "/") => `wss://127.0.0.1:${stage.tlsPort}${path}`;
const tlsOptions = () => ({ servername: HOST, ca: stage.ca, headers: { Host: HOST } });

/** A connection through broker and connector, and its other end at the backend. */
async function pair(options: object = {}): Promise<{ client: WebSocket; server: WebSocket }> {
  const accepted = new Promise<WebSocket>((resolve) => backend.serve = resolve);
  const client = await openWebsocket(plain(), [], options);
  return { client, server: await accepted };
}

test("the handshake keeps every header both ways, subprotocol, extension and Set-Cookie among them", async () => {
  for (const [dial, options] of [[plain, {}], [tls, tlsOptions()]] as const) {
    let asked!: IncomingMessage;
    backend.headers = ["Set-Cookie: a=1; Path=/", "Set-Cookie: b=2", "X-Served: \u00e9", "x-served: again"];
    backend.serve = (socket, request) => {
      asked = request;
      echo(socket);
    };
    const client = dialWebsocket(dial("/chat?x=%20y"), ["other", "super"], {
      ...options,
      perMessageDeflate: true,
      origin: "https://page.example",
      headers: { ...(options as { headers?: object }).headers, Cookie: "c=1", "X-Asked": "1, 2" },
    });
    const opened = once(client, "open");
    const [answer] = await once(client, "upgrade") as [IncomingMessage];
    await opened;
    assert.equal(client.protocol, "super");
    assert.match(client.extensions, /permessage-deflate/);
    assert.deepEqual(answer.headers["set-cookie"], ["a=1; Path=/", "b=2"]);
    const served = answer.rawHeaders.filter((_, i) =>
      /^x-served$/i.test(answer.rawHeaders[i - 1] ?? "") && i % 2 === 1
    );
    assert.equal(Buffer.from(served.join(), "latin1").toString(), "\u00e9,again");
    assert.equal(asked.url, "/chat?x=%20y");
    const { headers } = asked;
    assert.equal(headers["sec-websocket-protocol"], "other,super");
    assert.match(headers["sec-websocket-extensions"] ?? "", /permessage-deflate/);
    assert.deepEqual([headers.cookie, headers.origin, headers["x-asked"]], [
      "c=1",
      "https://page.example",
      "1, 2",
    ]);
    assert.deepEqual([headers["sec-websocket-version"], headers.upgrade], ["13", "websocket"]);
    client.close();
    await closing(client);
  }
  await stage.lanesIdle();
});

test("messages of every size come back as they were sent, text and bytes, compressed and not", async () => {
  for (const perMessageDeflate of [false, true]) {
    for (const [dial, options] of [[plain, {}], [tls, tlsOptions()]] as const) {
      const client = await openWebsocket(dial(), [], { ...options, perMessageDeflate });
      await echoes(client, perMessageDeflate ? [] : [100 * MEBIBYTE]);
      const text = "Gr\u00fc\u00dfe \u{1f600} ".repeat(20_000);
      client.send(text);
      const [data, binary] = await once(client, "message");
      assert.deepEqual([String(data) === text, binary], [true, false]);
      client.close();
      await closing(client);
    }
  }
  await stage.lanesIdle();
});

test("a message of 100 MiB crosses each way; while its reader waits, no process between keeps more than a window of it", async () => {
  const { client, server } = await pair();
  await heldBack({ client, server }, stage);
  client.close();
  await closing(client);
  await stage.lanesIdle();
});

test("close codes and reasons arrive, whoever closes; a side that vanishes is told as such", async () => {
  await closesTell(pair);
  const { client, server } = await pair();
  const told = closing(client);
  server.terminate();
  assert.equal((await told).code, 1006);
  const other = await pair();
  const toldToo = closing(other.server);
  other.client.terminate();
  assert.equal((await toldToo).code, 1006);
  await stage.lanesIdle();
});

test("a user who resets a connection whose backend does not read is noticed", async () => {
  const { client, server } = await pair();
  server.pause();
  const sending = sendInParts(client, Buffer.alloc(100 * MEBIBYTE), MEBIBYTE / 8);
  await untilStuck(sending, () => stage.metric("sallyport_exchanges_in_flight"));
  (client as unknown as { _socket: Socket })._socket.resetAndDestroy();
  await stage.lanesIdle();
  const told = closing(server);
  server.resume();
  assert.equal((await told).code, 1006);
});

test("pings and pongs pass with what they carry, both ways", async () => {
  const { client, server } = await pair();
  await pingsPass({ client, server });
  client.close();
  await closing(client);
  await stage.lanesIdle();
});

test("a handshake that is refused is an ordinary response, headers and body", async () => {
  backend.refuse = (_request, socket) =>
    void socket.end(
      "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\nWWW-Authenticate: Basic realm=x\r\n" +
        "Set-Cookie: s=1\r\nContent-Length: 12\r\nConnection: close\r\n\r\nwho are you?",
    );
  for (const [dial, options] of [[plain, {}], [tls, tlsOptions()]] as const) {
    const client = dialWebsocket(dial(), [], options);
    const [request, response] = await once(client, "unexpected-response");
    let body = "";
    for await (const chunk of response) body += chunk;
    assert.deepEqual([response.statusCode, body], [401, "who are you?"]);
    assert.deepEqual(response.rawHeaders.slice(0, 6), [
      ...["WWW-Authenticate", "Negotiate", "WWW-Authenticate", "Basic realm=x", "Set-Cookie", "s=1"],
    ]);
    request.destroy();
  }
  await stage.lanesIdle();
});

test("a 101 that does not agree to what was asked opens no connection: 502", async () => {
  const key = "dGhlIHNhbXBsZSBub25jZQ==";
  const accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
  const websocket = "Upgrade: websocket\r\n";
  const cases: [string, string, number][] = [
    [websocket, websocket + accept, 101],
    [websocket, "Upgrade: WebSocket\r\nSec-WebSocket-Accept:  s3pPLMBiTxaQ9kYGzzhZRbK+xOo= \r\n", 101],
    [websocket, websocket, 502],
    [websocket, accept, 502],
    [websocket, `${websocket}Sec-WebSocket-Accept: AAAA\r\n`, 502],
    [websocket, websocket + accept + accept, 502],
    [websocket, "Upgrade: other\r\n", 502],
    ["Upgrade: one/1, two\r\n", "Upgrade: TWO/2\r\n", 101],
    ["Upgrade: one/1, two\r\n", "Upgrade: three\r\n", 502],
  ];
  for (const [asked, answered, status] of cases) {
    let closed: Promise<unknown> = Promise.resolve();
    fake.answer = (socket) => {
      closed = once(socket, "close");
      socket.resume();
      socket.on("end", () => socket.end());
      socket.write(`HTTP/1.1 101 Go\r\nConnection: Upgrade\r\n${answered}\r\n`);
    };
    const user = await Wire.plain(stage.plainPort);
    user.send(
      `GET / HTTP/1.1\r\nHost: ${FAKE}\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${key}\r\n${asked}\r\n`,
    );
    const head = await user.head();
    assert.equal(head.status, status, `${asked} and ${answered}`);
    if (status === 502) {
      assert.equal(JSON.parse(await user.rest()).code, "backend_bad_response");
      assert.equal(valueOf(head.headers, "connection"), "close");
    }
    user.close();
    await closed;
  }
  await stage.lanesIdle();
});

test("a connection that is silent for longer than the app's setting ends; one on which anything passes, in any direction, does not", async () => {
  const accepted: WebSocket[] = [];
  backend.serve = (socket) => void accepted.push(socket);
  const options = { headers: { Host: QUIET } };
  const talking = await openWebsocket(plain(), [], options);
  const listening = await openWebsocket(plain(), [], options);
  const longLived = await openWebsocket(plain());
  const failures = 'sallyport_errors_total{code="upgraded_idle"}';
  const before = await stage.metric(failures);
  const timer = setInterval(() => {
    talking.ping();
    accepted[1]!.send("news");
  }, IDLE_MS / 20);
  try {
    const silent = await openWebsocket(plain(), [], options);
    const told = closing(accepted[3]!);
    assert.equal((await closing(silent)).code, 1006);
    assert.equal((await told).code, 1006);
  } finally {
    clearInterval(timer);
  }
  assert.equal(await stage.metric(failures), before + 1);
  for (const client of [talking, listening, longLived]) {
    assert.equal(client.readyState, client.OPEN);
    client.terminate();
  }
  await stage.lanesIdle();
});
