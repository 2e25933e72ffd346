/** Bodies are forwarded as they come, both ways, whatever they are: nothing waits for more of it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { after, before, test } from "node:test";
import { http2User, request2 } from "../support/http2_user.ts";
import { type IngressStage, ingressStage } from "../support/ingress_stage.ts";
import { type HeadBackend, headBackend } from "../support/staged_backend.ts";
import { inTime } from "../support/until.ts";
import { valueOf, Wire } from "../support/wire.ts";

const HOST = "stream.example.test";
const HEADS = "heads.example.test";
const ROUNDS = 12;

let stage: IngressStage;
let heads: HeadBackend;
let user: ClientHttp2Session;
/** Takes the next request that reaches the backend behind `HOST`. */
let serve: (req: IncomingMessage, res: ServerResponse) => void;
const server = createServer((req, res) => serve(req, res));

before(async () => {
  stage = await ingressStage();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  await stage.publish(
    "stream",
    `http://${HOST}`,
    `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  );
  heads = await headBackend();
  await stage.publish("heads", `http://${HEADS}`, heads.origin);
  user = await http2User({ port: stage.tlsPort, servername: HOST, ca: stage.ca });
});
after(async () => {
  user?.destroy();
  await stage?.[Symbol.asyncDispose]();
  await heads?.[Symbol.asyncDispose]();
  server.close();
  server.closeAllConnections();
});

const plain = () => Wire.plain(stage.plainPort);

/** The next request at the backend. */
function reached(): Promise<{ req: IncomingMessage; res: ServerResponse }> {
  return new Promise((resolve) => serve = (req, res) => resolve({ req, res }));
}

/** Takes the pieces of a stream one by one. */
function pieces(stream: ClientHttp2Stream | IncomingMessage): () => Promise<string> {
  const queue: string[] = [];
  let wake = () => {};
  stream.on("data", (bytes: Uint8Array) => {
    queue.push(Buffer.from(bytes).toString("latin1"));
    wake();
  });
  stream.on("end", () => (queue.push("<end>"), wake()));
  return async () => {
    const come = () => new Promise<void>((resolve) => wake = resolve);
    while (queue.length === 0) await inTime("the next piece is there", come());
    return queue.shift()!;
  };
}

function open2(headers: Record<string, string>, endStream: boolean): ClientHttp2Stream {
  const stream = user.request({ ":path": "/", ":authority": HOST, ...headers }, { endStream });
  stream.on("error", () => {});
  return stream;
}

const TYPES = [
  "text/event-stream",
  "text/html; charset=utf-8",
  "text/plain",
  "application/json",
  "application/octet-stream",
  "image/png",
  undefined,
];
const letter = (at: number) => String.fromCharCode(0x61 + at);

for (const type of TYPES) {
  for (const framing of ["chunked", "content-length", "close"] as const) {
    test(`a response of type ${type} (${framing}): each byte is with the user before the next is sent`, async () => {
      const head = async (arrived: ReturnType<typeof reached>) => {
        const { res } = await arrived;
        if (type !== undefined) res.setHeader("Content-Type", type);
        if (framing === "content-length") res.setHeader("Content-Length", ROUNDS);
        if (framing === "close") res.useChunkedEncodingByDefault = false;
        res.flushHeaders();
        return res;
      };
      let arrived = reached();
      const wire = await plain();
      wire.send(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
      let res = await head(arrived);
      const { headers } = await wire.head();
      assert.equal(valueOf(headers, "content-type"), type);
      assert.equal(
        valueOf(headers, "transfer-encoding"),
        framing === "content-length" ? undefined : "chunked",
      );
      for (let sent = 0; sent < ROUNDS; sent++) {
        res.write(letter(sent));
        // As it was sent: neither joined with another piece nor cut.
        const expected = framing === "content-length" ? letter(sent) : `1\r\n${letter(sent)}\r\n`;
        assert.equal(await wire.bytes(expected.length), expected);
      }
      res.end();
      if (framing !== "content-length") assert.equal(await wire.bytes(5), "0\r\n\r\n");
      wire.close();

      arrived = reached();
      const stream = open2({}, true);
      const next = pieces(stream);
      res = await head(arrived);
      await once(stream, "response");
      for (let sent = 0; sent < ROUNDS; sent++) {
        res.write(letter(sent));
        assert.equal(await next(), letter(sent));
      }
      res.end();
      assert.equal(await next(), "<end>");
    });
  }
}

for (const framing of ["chunked", "content-length"] as const) {
  test(`an upload (${framing}): each byte is at the backend before the next is sent`, async () => {
    let arrived = reached();
    const wire = await plain();
    const frame = framing === "chunked" ? "Transfer-Encoding: chunked" : `Content-Length: ${ROUNDS}`;
    wire.send(`POST / HTTP/1.1\r\nHost: ${HOST}\r\n${frame}\r\n\r\n`);
    const upload = async (send: (piece: string) => void) => {
      // A head whose body has a length may wait for its first byte: nobody asked for it to be seen before.
      if (framing === "content-length") send("a");
      const { req, res } = await arrived;
      const next = pieces(req);
      if (framing === "content-length") assert.equal(await next(), "a");
      for (let sent = framing === "content-length" ? 1 : 0; sent < ROUNDS; sent++) {
        send(letter(sent));
        assert.equal(await next(), letter(sent));
      }
      return { next, res };
    };
    const over1 = await upload((text) => wire.send(framing === "chunked" ? `1\r\n${text}\r\n` : text));
    if (framing === "chunked") wire.send("0\r\n\r\n");
    assert.equal(await over1.next(), "<end>");
    over1.res.end("1");
    assert.equal((await wire.response()).body, "1");
    wire.close();

    arrived = reached();
    const headers: Record<string, string> = framing === "chunked" ? {} : { "content-length": String(ROUNDS) };
    const stream = open2({ ":method": "POST", ...headers }, false);
    const answer = pieces(stream);
    const over2 = await upload((text) => void stream.write(text));
    stream.end();
    assert.equal(await over2.next(), "<end>");
    over2.res.end("2");
    assert.equal(await answer(), "2");
  });

  test(`full duplex (${framing}): the echo of each byte is there before the next is sent`, async () => {
    const echo = (req: IncomingMessage, res: ServerResponse) => {
      res.writeHead(200, { "Content-Type": "application/json" });
      res.flushHeaders();
      req.on("data", (bytes) => res.write(bytes));
      req.on("end", () => res.end());
    };
    serve = echo;
    const wire = await plain();
    const chunked = framing === "chunked";
    const frame = chunked ? "Transfer-Encoding: chunked" : `Content-Length: ${ROUNDS}`;
    const piece = (at: number) => chunked ? `1\r\n${letter(at)}\r\n` : letter(at);
    wire.send(`POST / HTTP/1.1\r\nHost: ${HOST}\r\n${frame}\r\n\r\n`);
    wire.send(piece(0));
    assert.equal((await wire.head()).status, 200);
    for (let at = 0; at < ROUNDS; at++) {
      if (at > 0) wire.send(piece(at));
      assert.equal(await wire.bytes(6), `1\r\n${letter(at)}\r\n`);
    }
    if (chunked) wire.send("0\r\n\r\n");
    assert.equal(await wire.bytes(5), "0\r\n\r\n");
    wire.close();

    const headers: Record<string, string> = chunked ? {} : { "content-length": String(ROUNDS) };
    const stream = open2({ ":method": "POST", ...headers }, false);
    const next = pieces(stream);
    for (let at = 0; at < ROUNDS; at++) {
      stream.write(letter(at));
      assert.equal(await next(), letter(at));
    }
    stream.end();
    assert.equal(await next(), "<end>");
  });
}

test("a response head goes to the user before there is any body", async () => {
  let arrived = reached();
  const wire = await plain();
  wire.send(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  let { res } = await arrived;
  res.flushHeaders();
  assert.equal((await wire.head()).status, 200);
  res.end();
  wire.close();
  arrived = reached();
  const stream = open2({}, true);
  ({ res } = await arrived);
  res.flushHeaders();
  const [head] = await once(stream, "response");
  assert.equal(head[":status"], 200);
  res.end();
  stream.resume();
  await once(stream, "close");
});

/** A POST that waits for leave to send its body. */
const EXPECTING = `POST / HTTP/1.1\r\nHost: ${HEADS}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n`;

for (const status of [413, 417]) {
  test(`Expect: 100-continue that the backend refuses with ${status} asks the user for no body`, async () => {
    const seen: string[] = [];
    heads.answer = (socket, head, rest) => {
      seen.push(head, rest.toString("latin1"));
      socket.on("data", (bytes: Uint8Array) => seen.push(Buffer.from(bytes).toString("latin1")));
      socket.write(`HTTP/1.1 ${status} No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno`);
    };
    const wire = await plain();
    wire.send(EXPECTING);
    const { status: told, body } = await wire.response();
    assert.deepEqual([told, body], [status, "no"]);
    wire.close();
    const over2 = await expecting2(async (stream) => {
      const [head] = await once(stream, "response");
      return head[":status"];
    });
    assert.deepEqual([over2.asked, over2.result], [false, status]);
    assert.match(seen[0]!, /^expect: 100-continue\r$/im);
    assert.deepEqual([seen[1], seen[3]], ["", ""], "no byte of a body");
    assert.equal(seen.length, 4);
  });
}

/** A POST with `Expect: 100-continue` over HTTP/2; `asked`: it got its 100 before the final head. */
async function expecting2<T>(
  then: (stream: ClientHttp2Stream) => Promise<T>,
): Promise<{ asked: boolean; result: T }> {
  const stream = open2({
    ":authority": HEADS,
    ":method": "POST",
    "content-length": "4",
    expect: "100-continue",
  }, false);
  let asked = false;
  stream.on("continue", () => asked = true);
  const result = await then(stream);
  stream.close(8);
  return { asked, result };
}

test("Expect: 100-continue: the body is sent when the backend asks for it, on HTTP/1.1 and HTTP/2", async () => {
  const bodies: string[] = [];
  heads.answer = (socket, _head, rest) => {
    assert.equal(rest.length, 0);
    socket.write("HTTP/1.1 100 Continue\r\n\r\n");
    socket.once("data", (bytes: Uint8Array) => {
      bodies.push(Buffer.from(bytes).toString("latin1"));
      socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    });
  };
  const wire = await plain();
  wire.send(EXPECTING);
  assert.equal((await wire.response()).status, 100);
  wire.send("body");
  assert.equal((await wire.response()).body, "ok");
  wire.close();
  const over2 = await expecting2(async (stream) => {
    await once(stream, "continue");
    const response = once(stream, "response");
    stream.end("body");
    const [head] = await response;
    return head[":status"];
  });
  assert.deepEqual([over2.asked, over2.result], [true, 200]);
  assert.deepEqual(bodies, ["body", "body"]);
});

test("1xx responses come one by one before the final one, each with the user before the next is sent", async () => {
  const connected: Socket[] = [];
  let came = () => {};
  heads.answer = (socket) => (connected.push(socket), came());
  const arrives = () => new Promise<void>((resolve) => came = resolve);
  const last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
  let here = arrives();
  const wire = await plain();
  wire.send(`GET / HTTP/1.1\r\nHost: ${HEADS}\r\n\r\n`);
  await here;
  for (const status of [102, 103, 103, 199]) {
    connected[0]!.write(`HTTP/1.1 ${status} Go\r\nLink: </${status}>\r\nLink: </x>\r\n\r\n`);
    const early = await wire.head();
    assert.deepEqual([early.status, valueOf(early.headers, "link")], [status, `</${status}>, </x>`]);
  }
  connected[0]!.write(last);
  assert.equal((await wire.response()).body, "ok");
  wire.close();

  here = arrives();
  const stream = open2({ ":authority": HEADS }, true);
  await here;
  for (const status of [102, 103, 103, 199]) {
    const early = once(stream, "headers");
    connected[1]!.write(`HTTP/1.1 ${status} Go\r\nLink: </${status}>\r\nLink: </x>\r\n\r\n`);
    const [headers] = await early;
    assert.equal(headers[":status"], status);
    assert.match(String(headers.link), new RegExp(`</${status}>, ?</x>`));
  }
  connected[1]!.write(last);
  const [head] = await once(stream, "response");
  assert.equal(head[":status"], 200);
  stream.resume();
  await once(stream, "close");
});

test("HTTP/2: a backend that breaks off resets the stream, HTTP/1.1: the connection ends without the last chunk", async () => {
  const bodies = {
    "content-length": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart",
    chunked: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
    close: "HTTP/1.1 200 OK\r\n\r\npart",
  };
  for (const [framing, text] of Object.entries(bodies)) {
    const sockets: Socket[] = [];
    heads.answer = (socket) => {
      sockets.push(socket);
      socket.write(text);
    };
    const wire = await plain();
    wire.send(`GET / HTTP/1.1\r\nHost: ${HEADS}\r\n\r\n`);
    await wire.head();
    const start = framing === "content-length" ? "part" : "4\r\npart\r\n";
    assert.equal(await wire.bytes(start.length), start);
    sockets[0]!.resetAndDestroy();
    assert.equal(await wire.rest(), "", framing);
    wire.close();
    const stream = open2({ ":authority": HEADS }, true);
    const next = pieces(stream);
    assert.equal(await next(), "part");
    const closed = new Promise((resolve) => stream.once("close", resolve));
    sockets[1]!.resetAndDestroy();
    await closed;
    assert.notEqual(stream.rstCode, 0, framing);
  }
  await stage.lanesIdle();
});

test("an HTTP/1.0 user and an HTTP/1.0 backend without lengths: forwarded as it comes, ended by the connection", async () => {
  let socket!: Socket;
  let came = () => {};
  const here = new Promise<void>((resolve) => came = resolve);
  heads.answer = (connected) => {
    socket = connected;
    socket.write("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n");
    came();
  };
  const wire = await plain();
  wire.send(`GET / HTTP/1.0\r\nHost: ${HEADS}\r\n\r\n`);
  await here;
  const { headers } = await wire.head();
  assert.equal(valueOf(headers, "transfer-encoding"), undefined);
  for (let at = 0; at < ROUNDS; at++) {
    socket.write(letter(at));
    assert.equal(await wire.bytes(1), letter(at));
  }
  socket.end();
  assert.equal(await wire.over(), "ended");
  wire.close();
});

test("a long download with pauses of the user is whole, and a HEAD for it tells its length", async () => {
  const body = Buffer.alloc(3 * 1024 * 1024, "0123456789");
  serve = (_req, res) => res.setHeader("Content-Length", body.length).end(body);
  const wire = await plain();
  wire.send(`HEAD / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  assert.equal(valueOf((await wire.response(true)).headers, "content-length"), String(body.length));
  wire.send(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  await wire.head();
  let read = "";
  for (let i = 0; i < 5; i++) {
    wire.socket.pause();
    await stage.metric("sallyport_exchanges_in_flight");
    wire.socket.resume();
    read += await wire.bytes(body.length / 8);
  }
  read += await wire.bytes(body.length - read.length);
  assert.ok(read === body.toString("latin1"));
  wire.close();
  const over2 = await request2(user, { ":path": "/", ":authority": HOST, ":method": "HEAD" });
  assert.equal(over2.headers["content-length"], String(body.length));
});
