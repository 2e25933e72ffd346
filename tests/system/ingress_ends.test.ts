/** How exchanges end when somebody does not play along: broken responses, early ones, users who leave. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { after, before, test } from "node:test";
import { http2User, request2 } from "../support/http2_user.ts";
import { type IngressStage, ingressStage } from "../support/ingress_stage.ts";
import { answerOk, type RawRequest } from "../support/raw_backend.ts";
import {
  type HeadBackend,
  headBackend,
  type StagedBackend,
  stagedBackend,
} from "../support/staged_backend.ts";
import { until } from "../support/until.ts";
import { TLS_TELLS_RESETS, Wire } from "../support/wire.ts";

const HOST = "ends.example.test";
const HEADS = "heads.example.test";
const ok = ({ socket }: RawRequest) => void socket.write(answerOk());

let stage: IngressStage;
let backend: StagedBackend;
/** Behind `HEADS`: asked before any body is there. */
let heads: HeadBackend;

before(async () => {
  stage = await ingressStage();
  backend = await stagedBackend(ok);
  await stage.publish("ends", `http://${HOST}`, backend.origin);
  heads = await headBackend();
  await stage.publish("heads", `http://${HEADS}`, heads.origin);
});
after(async () => {
  await stage?.[Symbol.asyncDispose]();
  await backend?.[Symbol.asyncDispose]();
  await heads?.[Symbol.asyncDispose]();
});

const plain = () => Wire.plain(stage.plainPort);
const tls = () => Wire.tls({ port: stage.tlsPort, servername: HOST, ca: stage.ca });
const session = () => http2User({ port: stage.tlsPort, servername: HOST, ca: stage.ca });
const get = (version = "1.1", method = "GET") => `${method} / HTTP/${version}\r\nHost: ${HOST}\r\n\r\n`;

/** How a backend breaks off: after part of a body, told in each way. */
const BROKEN: Record<string, string> = {
  "content-length": "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\npart",
  chunked: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
  "no length": "HTTP/1.1 200 OK\r\n\r\npart",
};

for (const [framing, text] of Object.entries(BROKEN)) {
  for (const how of framing === "no length" ? ["reset"] as const : ["reset", "end"] as const) {
    test(`a response with ${framing} that a backend breaks off by ${how} is broken off for the user`, async () => {
      const broken: { user: string; end: unknown; body: string }[] = [];
      const breakOff: (() => void)[] = [];
      backend.answers(({ socket }) => {
        socket.write(text);
        breakOff.push(() => how === "reset" ? socket.resetAndDestroy() : socket.end());
      });
      for (
        const [user, connect, version] of [["h1", plain, "1.1"], ["h1 tls", tls, "1.1"], [
          "1.0",
          plain,
          "1.0",
        ], ["1.0 tls", tls, "1.0"]] as const
      ) {
        const wire = await connect();
        wire.send(get(version));
        const head = wire.head();
        await head;
        breakOff.pop()!();
        const rest = await wire.rest();
        // A response of HTTP/1.0 with no length is whole when the connection ends in peace.
        broken.push({ user, end: wire.state, body: rest.includes("part") ? "part" : rest });
        if (version === "1.1") assert.ok(!rest.endsWith("0\r\n\r\n"), `${user}: looks whole`);
        else if (framing !== "content-length") {
          if (TLS_TELLS_RESETS || user !== "1.0 tls") {
            assert.equal(wire.state, "reset", `${user}: looks whole`);
          }
        }
        wire.close();
      }
      const h2 = await session();
      const request = request2(h2, { ":path": "/", ":authority": HOST });
      await until("the backend has the request", () => breakOff.length > 0);
      breakOff.pop()!();
      const response = await request;
      // A reset right behind the head may be all that the connector sees.
      assert.ok(response.status === 502 || response.end !== "end", "h2: looks whole");
      h2.destroy();
      assert.equal(broken.length, 4);
      await stage.lanesIdle();
    });
  }
}

test("a backend that resets before its response is a 502, on HTTP/1.1 and HTTP/2", async () => {
  backend.answers(({ socket }) => void socket.resetAndDestroy());
  const wire = await plain();
  wire.send(get());
  assert.equal((await wire.response()).status, 502);
  wire.close();
  const h2 = await session();
  assert.equal((await request2(h2, { ":path": "/", ":authority": HOST })).status, 502);
  h2.destroy();
  await stage.lanesIdle();
});

const MEGABYTE = Buffer.alloc(1024 * 1024, "u");

for (
  const [name, text] of [["200", answerOk("early")], [
    "413",
    "HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nearly",
  ]] as const
) {
  test(`an early response (${name}) reaches a user who is still sending 8 MiB; the connection goes on`, async () => {
    heads.answer = (socket) => void socket.write(text);
    backend.answers(ok);
    for (const connect of [plain, tls]) {
      const wire = await connect();
      wire.send(`POST / HTTP/1.1\r\nHost: ${HEADS}\r\nContent-Length: ${8 * MEGABYTE.length}\r\n\r\n`);
      for (let i = 0; i < 8; i++) wire.send(MEGABYTE);
      const response = await wire.response();
      assert.deepEqual([response.status, response.body], [Number(name), "early"]);
      wire.send(get());
      assert.equal((await wire.response()).body, "ok", "the rest of the body is not taken for a request");
      wire.close();
    }
    const h2 = await session();
    const stream = h2.request({
      ":path": "/",
      ":authority": HEADS,
      ":method": "POST",
    });
    stream.on("error", () => {});
    let body = "";
    stream.setEncoding("latin1").on("data", (part) => body += part);
    for (let i = 0; i < 8; i++) stream.write(MEGABYTE);
    const [head] = await once(stream, "response");
    assert.equal(head[":status"], Number(name));
    // What nobody reads must not keep the stream open: the broker ends it once its response is out.
    if (!stream.closed) await once(stream, "close");
    assert.equal(body, "early");
    assert.equal(stream.rstCode, 0);
    h2.destroy();
    await stage.lanesIdle();
  });
}

test("an upload to a host that is not published gets its 404", async () => {
  for (const connect of [plain, tls]) {
    const wire = await connect();
    wire.send(
      `POST / HTTP/1.1\r\nHost: nobody.example.test\r\nContent-Length: ${8 * MEGABYTE.length}\r\n\r\n`,
    );
    for (let i = 0; i < 8; i++) wire.send(MEGABYTE);
    const { status, end } = await wire.response();
    assert.deepEqual([status, end], [404, "length"]);
    wire.close();
  }
  const h2 = await session();
  const { status } = await request2(h2, {
    ":path": "/",
    ":authority": "nobody.example.test",
    ":method": "POST",
  }, MEGABYTE);
  assert.equal(status, 404);
  h2.destroy();
});

test("an upload to a backend that breaks down half-way gets its 502", async () => {
  heads.answer = (socket) => {
    let bytes = 0;
    socket.on("data", (chunk) => {
      if ((bytes += chunk.length) > MEGABYTE.length) socket.resetAndDestroy();
    });
  };
  for (const connect of [plain, tls]) {
    const wire = await connect();
    wire.send(`POST / HTTP/1.1\r\nHost: ${HEADS}\r\nContent-Length: ${8 * MEGABYTE.length}\r\n\r\n`);
    for (let i = 0; i < 8; i++) wire.send(MEGABYTE);
    const { status } = await wire.response();
    assert.equal(status, 502);
    wire.close();
  }
  const h2 = await session();
  const post = { ":path": "/", ":authority": HEADS, ":method": "POST" };
  const { status, end } = await request2(h2, post, Buffer.concat([MEGABYTE, MEGABYTE, MEGABYTE]));
  assert.deepEqual([status, end], [502, "end"]);
  h2.destroy();
  await stage.lanesIdle();
});

test("a user who goes away takes the backend's connection along; the lane is usable again", async () => {
  const gone: Promise<unknown>[] = [];
  const waiting = (text: string) => ({ socket }: RawRequest) => {
    if (text !== "") socket.write(text);
    gone.push(once(socket, "close"));
    arrived();
  };
  let arrived = () => {};
  const arrives = () => new Promise<void>((resolve) => arrived = resolve);
  for (const text of ["", BROKEN["content-length"]!]) {
    for (const leave of ["destroy", "resetAndDestroy", "end"] as const) {
      backend.answers(waiting(text));
      const here = arrives();
      const wire = await plain();
      wire.send(get());
      await here;
      wire.socket[leave]();
      await gone.pop();
    }
    const here = arrives();
    const h2 = await session();
    const stream = h2.request({ ":path": "/", ":authority": HOST });
    stream.on("error", () => {});
    await here;
    stream.close(8);
    await gone.pop();
    h2.destroy();
  }
  await stage.lanesIdle();
  backend.answers(ok);
  const wire = await plain();
  wire.send(get());
  assert.equal((await wire.response()).body, "ok");
  wire.close();
});

test("a user who leaves in the middle of an upload that the backend does not read takes its connection along", async () => {
  let arrived = (_: Socket) => {};
  const arrives = () => new Promise<Socket>((resolve) => arrived = resolve);
  heads.answer = (socket) => {
    socket.pause();
    arrived(socket);
  };
  for (const code of [0, 8]) {
    const here = arrives();
    const h2 = await session();
    const length = 64 * MEGABYTE.length;
    const stream = h2.request({
      ":path": "/",
      ":authority": HEADS,
      ":method": "POST",
      "content-length": length,
    });
    stream.on("error", () => {});
    for (let i = 0; i < 15; i++) stream.write(MEGABYTE);
    const socket = await here;
    stream.close(code);
    const gone = Promise.race([once(socket, "end"), once(socket, "close")]);
    socket.resume();
    await gone;
    h2.destroy();
  }
  for (const leave of ["destroy", "resetAndDestroy"] as const) {
    const here = arrives();
    const wire = await plain();
    wire.send(`POST / HTTP/1.1\r\nHost: ${HEADS}\r\nContent-Length: ${64 * MEGABYTE.length}\r\n\r\n`);
    for (let i = 0; i < 15; i++) wire.send(MEGABYTE);
    const socket = await here;
    wire.socket[leave]();
    const gone = Promise.race([once(socket, "end"), once(socket, "close")]);
    socket.resume();
    await gone;
  }
  await stage.lanesIdle();
});
