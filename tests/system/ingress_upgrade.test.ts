/** Connections that change their protocol, WebSocket and others, through broker and connector. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { after, before, test } from "node:test";
import { type IngressStage, ingressStage } from "../support/ingress_stage.ts";
import { type HeadBackend, headBackend, readHead } from "../support/staged_backend.ts";
import { until } from "../support/until.ts";
import { TLS_TELLS_RESETS, valueOf, Wire } from "../support/wire.ts";

const HOST = "upgrade.example.test";
const REFUSED = "refused.example.test";
const ASK = "Upgrade: echo/1\r\nConnection: Upgrade\r\n";
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo/1\r\nConnection: Upgrade\r\n\r\n";
/** What says that key "k" was read (RFC 6455 section 4.2.2). */
const ACCEPT = createHash("sha1").update("k258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest("base64");
const MEGABYTE = Buffer.alloc(1024 * 1024, "u");

let stage: IngressStage;
let backend: HeadBackend;

before(async () => {
  stage = await ingressStage();
  backend = await headBackend();
  await stage.publish("upgrade", [`http://${HOST}`, "http://127.0.0.1"], backend.origin);
  await stage.publish("refused", `http://${REFUSED}`, "http://127.0.0.1:1");
});
after(async () => {
  await stage?.[Symbol.asyncDispose]();
  await backend?.[Symbol.asyncDispose]();
});

const connects = {
  plain: () => Wire.plain(stage.plainPort),
  tls: () => Wire.tls({ port: stage.tlsPort, servername: HOST, ca: stage.ca }),
};
const request = (target = "/", headers = ASK, host = HOST) =>
  `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n${headers}\r\n`;

/** Asks and gets its 101; both ends of the connection. */
async function switched(connect = connects.plain): Promise<{ user: Wire; server: Socket }> {
  const server = new Promise<Socket>((resolve) => {
    backend.answer = (socket) => {
      socket.write(SWITCH);
      resolve(socket);
    };
  });
  const user = await connect();
  user.send(request());
  assert.equal((await user.head()).status, 101);
  return { user, server: await server };
}

test("the handshake keeps every header both ways, Set-Cookie among them; what comes with it arrives", async () => {
  for (const connect of Object.values(connects)) {
    let seen = "";
    let first = "";
    backend.answer = (socket, head, rest) => {
      seen = head;
      first = rest.toString("latin1");
      socket.on("data", (bytes: Buffer) => first += bytes.toString("latin1"));
      socket.on("end", () => socket.end());
      socket.write(
        `HTTP/1.1 101 Fine\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nSec-WebSocket-Accept: ${ACCEPT}\r\nX-Latin: \xe9\r\n` +
          "UPGRADE: WebSocket\r\nConnection: upgrade, X-Hop\r\nX-Hop: 1\r\n\r\nhello",
        "latin1",
      );
    };
    const user = await connect();
    const ask =
      "Sec-WebSocket-Key: k\r\nSec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: a, b\r\n" +
      "Cookie: c=1\r\nOrigin: http://x\r\nUPGRADE: WebSocket\r\nConnection: keep-alive, Upgrade\r\n";
    user.send(`${request("/chat?x=1", ask)}user's first`);
    const { status, reason, headers } = await user.head();
    assert.deepEqual([status, reason], [101, "Fine"]);
    assert.match(valueOf(headers, "via") ?? "", /^1\.1 \S+$/);
    assert.deepEqual(headers.filter((_, i) => headers[i - i % 2] !== "Via"), [
      ...["Set-Cookie", "a=1", "set-cookie", "b=2", "Sec-WebSocket-Accept", ACCEPT, "X-Latin", "\xe9"],
      ...["Upgrade", "WebSocket", "Connection", "Upgrade"],
    ]);
    assert.equal(await user.bytes(5), "hello");
    user.send(", and more");
    await until("the backend has 22 bytes", () => first.length >= 22);
    assert.equal(first, "user's first, and more");
    const { line, headers: asked } = readHead(seen);
    assert.equal(line, "GET /chat?x=1 HTTP/1.1");
    assert.equal(valueOf(asked, "sec-websocket-key"), "k");
    assert.equal(valueOf(asked, "sec-websocket-extensions"), "permessage-deflate");
    assert.equal(valueOf(asked, "sec-websocket-protocol"), "a, b");
    assert.equal(valueOf(asked, "cookie"), "c=1");
    assert.equal(valueOf(asked, "upgrade"), "WebSocket");
    assert.equal(valueOf(asked, "connection")?.toLowerCase(), "upgrade");
    assert.equal(valueOf(asked, "x-forwarded-host"), HOST);
    user.close();
  }
  await stage.lanesIdle();
});

test("a WebSocket client talks to a WebSocket server", async () => {
  backend.answer = (socket, head) => {
    const key = valueOf(readHead(head).headers, "sec-websocket-key");
    const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n` +
        "Sec-WebSocket-Protocol: b\r\n\r\n\x81\x05hello",
      "latin1",
    );
    socket.on("data", (frame: Buffer) => {
      if ((frame[0]! & 15) === 8) return void socket.end(Buffer.from([0x88, 2, 0x0b, 0xb9]));
      const mask = frame.subarray(2, 6);
      const text = frame.subarray(6).map((byte, i) => byte ^ mask[i % 4]!);
      socket.write(Buffer.concat([Buffer.from([0x81, text.length]), text]));
    });
  };
  const client = new WebSocket(`ws://127.0.0.1:${stage.plainPort}/ws`, ["a", "b"]);
  const messages: string[] = [];
  client.addEventListener("message", ({ data }) => {
    messages.push(String(data));
    if (messages.length === 1) client.send("Grüße");
    else client.close(3001);
  });
  const closed = await new Promise<CloseEvent>((resolve) => client.addEventListener("close", resolve));
  assert.deepEqual(messages, ["hello", "Grüße"]);
  assert.deepEqual([closed.code, client.protocol], [3001, "b"]);
  await stage.lanesIdle();
});

test("64 MiB cross each way at once, held back where a reader is slow", async () => {
  const total = 64 * MEGABYTE.length;
  for (const connect of Object.values(connects)) {
    const { user, server } = await switched(connect);
    user.socket.removeAllListeners("data");
    const flow = async (from: Socket, to: Socket) => {
      let got = 0;
      const done = new Promise<void>((resolve) => {
        to.on("data", (bytes: Buffer) => {
          assert.ok(bytes.equals(MEGABYTE.subarray(0, bytes.length)));
          if ((got += bytes.length) >= total) resolve();
        });
      });
      // Nobody reads at first: what can wait on the way is far less than all.
      to.pause();
      let sent = 0;
      while (sent < total && from.writableLength < 4 * MEGABYTE.length) {
        from.write(MEGABYTE);
        sent += MEGABYTE.length;
        await new Promise((resolve) => setImmediate(resolve));
      }
      to.resume();
      for (; sent < total; sent += MEGABYTE.length) {
        if (!from.write(MEGABYTE)) await once(from, "drain");
      }
      await done;
      assert.equal(got, total);
    };
    await Promise.all([flow(user.socket, server), flow(server, user.socket)]);
    user.close();
    server.destroy();
  }
  await stage.lanesIdle();
});

test("each side may end its own direction first and still be told the rest of the other", async () => {
  const { user, server } = await switched();
  const ended = once(server, "end");
  user.socket.end("last of the user");
  let heard = "";
  server.on("data", (bytes) => heard += bytes);
  await ended;
  assert.equal(heard, "last of the user");
  server.write("later");
  assert.equal(await user.bytes(5), "later");
  server.end("bye");
  assert.equal(await user.rest(), "bye");
  assert.equal(user.state, "ended");
  await stage.lanesIdle();

  const other = await switched();
  let said = "";
  other.server.on("data", (bytes) => said += bytes);
  other.server.end("last of the backend");
  assert.equal(await other.user.rest(), "last of the backend");
  other.user.send("later");
  const over = once(other.server, "end");
  other.user.socket.end();
  await over;
  assert.equal(said, "later");
  await stage.lanesIdle();
});

test("a backend that declines gives an ordinary response, whole or visibly broken", async () => {
  const declines: [string, string][] = [
    ["HTTP/1.1 403 No\r\nContent-Length: 2\r\nSet-Cookie: a=1\r\n\r\nno", "no"],
    ["HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", "no"],
    ["HTTP/1.1 204 None\r\n\r\n", ""],
  ];
  for (const [text, body] of declines) {
    backend.answer = (socket) => void socket.end(text);
    const user = await connects.plain();
    user.send(`${request()}what is not for HTTP`);
    const response = await user.response();
    assert.deepEqual([response.status, response.body], [Number(text.slice(9, 12)), body]);
    assert.equal(valueOf(response.headers, "connection"), "close");
    assert.equal(await user.over(), "ended");
    user.close();
  }
  backend.answer = (socket) =>
    void socket.write("HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n", () => {
      setTimeout(() => socket.destroy(), 20);
    });
  const user = await connects.plain();
  user.send(request());
  assert.equal((await user.response()).end, "cut");
  user.close();
  await stage.lanesIdle();
});

test("no backend, no app, no sense: an error page, and the connection ends", async () => {
  const cases: [string, number, string][] = [
    [request("/", ASK, REFUSED), 502, "backend_refused"],
    [request("/", ASK, "nobody.example.test"), 404, "no_app"],
    [request("/", ASK, "tunnel.sallyport.internal"), 421, "misdirected"],
    [request("/", `${ASK}Host: ${HOST}\r\n`), 400, "bad_request"],
  ];
  for (const [text, status, code] of cases) {
    const user = await connects.plain();
    user.send(text);
    const response = await user.response();
    assert.deepEqual([response.status, JSON.parse(response.body).code], [status, code]);
    assert.notEqual(await user.over(), undefined);
    user.close();
  }
  await stage.lanesIdle();
});

test("a user who goes away takes the backend's connection along, before the answer and after", async () => {
  for (const connect of Object.values(connects)) {
    for (const leave of ["destroy", "resetAndDestroy"] as const) {
      if (leave === "resetAndDestroy" && connect === connects.tls) continue;
      const { user, server } = await switched(connect);
      const gone = Promise.race([once(server, "close"), once(server, "end")]);
      server.resume();
      user.socket[leave]();
      await gone;
      server.end();
      const waits = new Promise<Socket>((resolve) => backend.answer = resolve);
      const early = await connect();
      early.send(request());
      const asked = await waits;
      const left = Promise.race([once(asked, "close"), once(asked, "end")]);
      early.socket[leave]();
      asked.resume();
      await left;
      asked.end();
    }
  }
  await stage.lanesIdle();
});

test("a backend that resets resets the user's connection", async () => {
  for (const connect of Object.values(connects)) {
    const { user, server } = await switched(connect);
    server.resetAndDestroy();
    const how = await user.over();
    if (TLS_TELLS_RESETS || connect === connects.plain) assert.equal(how, "reset");
  }
  await stage.lanesIdle();
});

test("500 upgraded connections at once, each to its own backend connection", async () => {
  backend.answer = (socket, head) => {
    socket.write(SWITCH + readHead(head).line.split(" ")[1]);
    socket.on("data", (bytes) => socket.write(bytes));
    socket.on("end", () => socket.end());
  };
  const users = await Promise.all(Array.from({ length: 500 }, async (_, i) => {
    const user = await connects.plain();
    user.send(request(`/${1000 + i}`));
    assert.equal((await user.head()).status, 101);
    assert.equal(await user.bytes(5), `/${1000 + i}`);
    return user;
  }));
  assert.equal(await stage.metric('sallyport_lanes{state="busy"}'), 500);
  await Promise.all(users.map(async (user, i) => {
    user.send(`echo ${1000 + i}`);
    assert.equal(await user.bytes(9), `echo ${1000 + i}`);
    user.socket.end();
    await user.over();
  }));
  await stage.lanesIdle();
});
