import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { Socket } from "node:net";
import { test } from "node:test";
import { backendApp, completed, exchange, failure, testBackends } from "../support/backend_exchange.ts";
import type { Recorder } from "../support/backend_exchange.ts";
import { answerOk, listen, rawBackend } from "../support/raw_backend.ts";
import { until } from "../support/until.ts";

const ADAPTERS: [string, string[]][] = [["undici", []], ["node:http", ["Keep-Alive", "x"]]];
const MIB = 1024 * 1024;
/** More than kernel buffers of loopback and ours can hold together. */
const BODY_BYTES = 48 * MIB;
const HELD_BYTES = 24 * MIB;

/** Settles when `count` has not changed for a while: a backend that writes as fast as it may is blocked by then. */
async function settled(count: () => number): Promise<number> {
  for (let last = -1, same = 0; same < 10;) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    same = count() === last ? same + 1 : 0;
    last = count();
  }
  return count();
}

for (const [name, extra] of ADAPTERS) {
  for (const framing of ["length", "chunked", "close"]) {
    test(`${name}: a paused download (${framing}) stops the backend, goes on later and is complete`, async (t) => {
      let sent = 0;
      const backend = await rawBackend(t, ({ socket }) => {
        const chunked = framing === "chunked";
        const length = framing === "length" ? `Content-Length: ${BODY_BYTES}\r\n` : "";
        socket.write(`HTTP/1.1 200 OK\r\n${length}${chunked ? "Transfer-Encoding: chunked\r\n" : ""}\r\n`);
        const piece = Buffer.alloc(64 * 1024, 7);
        const send = () => {
          while (sent < BODY_BYTES) {
            sent += piece.length;
            if (chunked) socket.write("10000\r\n");
            const more = socket.write(piece);
            if (chunked) socket.write("\r\n");
            if (!more) return void socket.once("drain", send);
          }
          if (chunked) socket.write("0\r\n\r\n");
          if (framing === "close") socket.end();
        };
        send();
      });
      const got = exchange(testBackends(t), backendApp(backend.origin), { headers: ["Host", "a", ...extra] });
      let pausedAfter = 0;
      got.take = () => {
        pausedAfter++;
        return false;
      };
      await got.answered;
      assert.ok(await settled(() => sent) < HELD_BYTES, `the backend sent ${sent} bytes to a paused reader`);
      assert.equal(pausedAfter, 1, "a piece came after the pause");
      // From here on one piece per turn of the event loop, so that a pause also meets the end of the body.
      got.take = () => {
        setImmediate(() => got.exchange.resume());
        return false;
      };
      got.exchange.resume();
      await completed(got);
      assert.equal(got.bytes, BODY_BYTES);
    });
  }

  test(`${name}: a backend that closes after its last byte, while we have paused it, is complete later`, async (t) => {
    let last = () => {};
    const backend = await rawBackend(t, ({ socket, head }) => {
      if (head.startsWith("GET /other")) return void socket.write(answerOk());
      socket.write("HTTP/1.1 200 OK\r\n\r\nabc");
      last = () => socket.end("def");
    });
    const backends = testBackends(t);
    const app = backendApp(backend.origin);
    const got = exchange(backends, app, { headers: ["Host", "a", ...extra] });
    const paused = Promise.withResolvers<void>();
    got.take = (chunk) => {
      got.chunks.push(chunk);
      paused.resolve();
      return false;
    };
    await paused.promise;
    last();
    // Whatever the other side sent has long arrived when these have been answered.
    for (let i = 0; i < 10; i++) await completed(exchange(backends, app, { target: "/other" }));
    assert.equal(got.body, "abc", "bytes came after the pause");
    got.take = (chunk) => {
      got.chunks.push(chunk);
      setImmediate(() => got.exchange.resume());
      return false;
    };
    got.exchange.resume();
    await completed(got);
    assert.equal(got.body, "abcdef");
  });

  for (const paused of [false, true]) {
    test(`${name}: a body without length that ends in a reset${paused ? ", while paused," : ""} is cut`, async (t) => {
      let last = (): Socket => assert.fail();
      const backend = await rawBackend(t, ({ socket, head }) => {
        if (head.startsWith("GET /other")) return void socket.write(answerOk());
        socket.write("HTTP/1.1 200 OK\r\n\r\nabc");
        last = () => (socket.write("def"), socket);
      });
      const backends = testBackends(t);
      const app = backendApp(backend.origin);
      const got = exchange(backends, app, { headers: ["Host", "a", ...extra] });
      const first = Promise.withResolvers<void>();
      got.take = () => {
        first.resolve();
        return !paused;
      };
      await first.promise;
      const socket = last();
      // "def" has arrived when these have been answered, and waits in the socket where we have paused.
      for (let i = 0; i < 10; i++) await completed(exchange(backends, app, { target: "/other" }));
      socket.resetAndDestroy();
      assert.deepEqual((await failure(got)).code, "backend_reset");
    });
  }

  test(`${name}: an upload that the backend does not read is held back, then complete`, async (t) => {
    const sockets: Socket[] = [];
    let received = 0;
    const arrived = Promise.withResolvers<() => void>();
    const server = createServer((request, response) => {
      arrived.resolve(() => {
        request.on("data", (chunk: Uint8Array) => received += chunk.length);
        request.on("end", () => response.end("done"));
      });
    });
    server.on("connection", (socket) => sockets.push(socket));
    const port = await listen(t, server, sockets);
    const got = exchange(testBackends(t), backendApp(`http://127.0.0.1:${port}`), {
      method: "POST",
      headers: ["Host", "a", "Content-Length", String(BODY_BYTES), ...extra],
      hasBody: true,
    });
    let written = 0;
    const piece = new Uint8Array(64 * 1024);
    const send = () => {
      while (written < BODY_BYTES) {
        written += piece.length;
        if (!got.exchange.write(piece)) return;
      }
      got.exchange.end();
    };
    got.onDrained = send;
    send();
    const read = await arrived.promise;
    assert.ok(
      await settled(() => written) < HELD_BYTES,
      `${written} bytes were taken for a backend that reads none`,
    );
    read();
    await completed(got);
    assert.equal(received, BODY_BYTES);
    assert.equal(got.body, "done");
  });

  test(`${name}: an answer before the end of the upload arrives, and the rest of it is dropped`, async (t) => {
    const backend = await rawBackend(t, () => {});
    const got = exchange(testBackends(t), backendApp(backend.origin), {
      method: "POST",
      headers: ["Host", "a", "Content-Length", "1000000", ...extra],
      hasBody: true,
    });
    got.exchange.write(new Uint8Array(1000));
    await until("the backend has a connection", () => backend.connections.length > 0);
    const [socket] = backend.connections as [Socket];
    const closed = once(socket, "close");
    socket.write("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    await completed(got);
    assert.deepEqual([got.status, got.body], [413, "no"]);
    assert.equal(got.exchange.write(new Uint8Array(1000)), true);
    got.exchange.end();
    await closed;
  });

  test(`${name}: bytes go both ways at once, each seen before the next is sent`, async (t) => {
    const sockets: Socket[] = [];
    const server = createServer((request, response) => {
      response.writeHead(200);
      response.flushHeaders();
      request.on("data", (chunk: Uint8Array) => response.write(chunk));
      request.on("end", () => response.end());
    });
    server.on("connection", (socket) => sockets.push(socket));
    const port = await listen(t, server, sockets);
    const rounds = 50;
    const got = exchange(testBackends(t), backendApp(`http://127.0.0.1:${port}`), {
      method: "POST",
      headers: ["Host", "a", "Content-Length", String(rounds), ...extra],
      hasBody: true,
    });
    got.take = (chunk) => {
      got.chunks.push(chunk);
      if (got.bytes < rounds) got.exchange.write(Buffer.from("x"));
      else got.exchange.end();
      return true;
    };
    got.exchange.write(Buffer.from("x"));
    await completed(got);
    assert.equal(got.body, "x".repeat(rounds));
  });

  test(`${name}: silence instead of a response head is a timeout`, async (t) => {
    const backend = await rawBackend(t, () => {});
    const app = backendApp(backend.origin, { timeouts: { responseHeadMs: 300 } });
    const { code, begun } = await failure(
      exchange(testBackends(t), app, { headers: ["Host", "a", ...extra] }),
    );
    assert.deepEqual([code, begun], ["backend_timeout", true]);
    await Promise.all(backend.connections.map((socket) => socket.closed || once(socket, "close")));
  });

  test(`${name}: silence in the middle of a body is an idle timeout`, async (t) => {
    const backend = await rawBackend(t, ({ socket }) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    });
    const app = backendApp(backend.origin, { timeouts: { idleMs: 300 } });
    const { code, begun } = await failure(
      exchange(testBackends(t), app, { headers: ["Host", "a", ...extra] }),
    );
    assert.deepEqual([code, begun], ["backend_idle_timeout", true]);
  });

  test(`${name}: while we have paused the backend, no time runs out`, async (t) => {
    const backend = await rawBackend(t, ({ socket }) => socket.write(answerOk("x".repeat(300_000))));
    const app = backendApp(backend.origin, { timeouts: { idleMs: 300 } });
    const got: Recorder = exchange(testBackends(t), app, { headers: ["Host", "a", ...extra] });
    got.take = () => false;
    await got.answered;
    // Well over the limit; the other exchange shows that limits do run meanwhile.
    const other = await rawBackend(t, () => {});
    for (let i = 0; i < 2; i++) {
      const silent = exchange(
        testBackends(t),
        backendApp(other.origin, { timeouts: { responseHeadMs: 300 } }),
      );
      assert.equal((await failure(silent)).code, "backend_timeout");
    }
    got.take = () => true;
    got.exchange.resume();
    await completed(got);
    assert.equal(got.bytes, 300_000);
  });

  for (
    const [what, bytes, code] of [
      ["a connection closed without an answer", "", "backend_reset"],
      ["a connection closed inside the head", "HTTP/1.1 200 OK\r\nX: 1", "backend_reset"],
      ["a body cut short", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "backend_reset"],
      [
        "a chunked body cut short",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "backend_reset",
      ],
      ["something else than HTTP", "SSH-2.0-OpenSSH_9.2\r\n", "backend_bad_response"],
      [
        "a chunk size that is none",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "backend_bad_response",
      ],
      [
        "101 to no upgrade",
        "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "backend_bad_response",
      ],
      [
        "a head over the limit",
        `HTTP/1.1 200 OK\r\nX: ${"x".repeat(70_000)}\r\n\r\n`,
        "backend_head_too_large",
      ],
    ] as const
  ) {
    test(`${name}: ${what} is ${code}`, async (t) => {
      const backend = await rawBackend(t, ({ socket }) => socket.end(bytes));
      const got = exchange(testBackends(t), backendApp(backend.origin), { headers: ["Host", "a", ...extra] });
      const failed = await failure(got);
      assert.deepEqual([failed.code, failed.begun], [code, true], failed.message);
    });
  }

  test(`${name}: a head of just under 64 KiB passes`, async (t) => {
    const backend = await rawBackend(
      t,
      ({ socket }) => socket.write(answerOk("ok", `X: ${"x".repeat(60_000)}\r\n`)),
    );
    const request = { headers: ["Host", "a", ...extra] };
    const got = await completed(exchange(testBackends(t), backendApp(backend.origin), request));
    assert.equal(got.headers[1]!.length, 60_000);
  });
}
