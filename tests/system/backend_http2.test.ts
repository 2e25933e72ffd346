import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttp } from "node:http";
import { constants, type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, connect, createServer as createTcp } from "node:net";
import { addAbortSignal } from "node:stream";
import { createServer as createTls } from "node:tls";
import { test, type TestContext } from "node:test";
import type { ServerOptions } from "node:http2";
import { TestAuthority } from "../support/backend_certificates.ts";
import { backendApp, completed, exchange, failure, testBackends } from "../support/backend_exchange.ts";
import { bodyOf, Http2Backend } from "../support/http2_backend.ts";
import { tcpRelay } from "../support/tcp_relay.ts";

const H2C = { backendProtocol: "h2c" } as const;

async function started(t: TestContext, options: ServerOptions = {}) {
  const backend = await Http2Backend.start(options);
  const backends = testBackends(t);
  t.after(() => backend[Symbol.asyncDispose]());
  return { backend, backends, app: backendApp(backend.origin, H2C) };
}

test("node:http2: head, body, 1xx and trailers pass as they are, both ways", async (t) => {
  const { backend, backends, app } = await started(t);
  let raw: readonly string[] = [];
  let body = "";
  let requestTrailers: string[] = [];
  backend.answer = async (request) => {
    const { stream } = request;
    raw = request.raw;
    stream.on("trailers", (_headers, _flags, list: string[]) => requestTrailers = list);
    body = await bodyOf(stream);
    stream.additionalHeaders({ ":status": 103, link: "</a>" });
    const headers = [":status", "201", "set-cookie", "a=1", "x", "caf\xe9", "set-cookie", "b=2"];
    stream.respond(headers as never, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ sum: "1", "sum-too": ["2", "3"] }));
    stream.end("answer");
  };
  const recorder = exchange(backends, app, {
    method: "POST",
    target: "/a/../b//c%2e?q",
    headers: [
      "Host",
      "user.test",
      "Cookie",
      "a=1",
      "cookie",
      "b=2",
      "TE",
      "trailers",
      "Trailer",
      "X-Sum",
      "X",
      "caf\xe9",
    ],
    hasBody: true,
  });
  recorder.exchange.write(Buffer.from("request"));
  recorder.exchange.end(["X-Sum", "7", "x-sum", "8"]);
  const { trailers } = await recorder.outcome as { trailers: string[] };
  assert.deepEqual(raw, [
    ...[":method", "POST", ":scheme", "http", ":authority", "user.test", ":path", "/a/../b//c%2e?q"],
    ...["cookie", "a=1", "cookie", "b=2", "te", "trailers", "trailer", "X-Sum", "x", "caf\xe9"],
  ]);
  assert.equal(body, "request");
  assert.deepEqual(requestTrailers, ["x-sum", "7", "x-sum", "8"]);
  assert.equal(recorder.status, 201);
  assert.equal(recorder.reason, "Created");
  assert.deepEqual(recorder.informationals, [{ status: 103, headers: ["link", "</a>"] }]);
  const kept = recorder.headers.filter((_, i) => recorder.headers[i & ~1] !== "date");
  assert.deepEqual(kept, ["set-cookie", "a=1", "x", "caf\xe9", "set-cookie", "b=2"]);
  assert.equal(recorder.body, "answer");
  assert.deepEqual(trailers, ["sum", "1", "sum-too", "2", "sum-too", "3"]);
});

test("node:http2: responses of round lengths are whole, whatever a backend on Node makes of a full window", async (t) => {
  const { backend, backends, app } = await started(t);
  backend.answer = ({ stream, headers }) => {
    stream.respond({ ":status": 200 });
    let left = Number(headers[":path"]!.slice(1));
    const write = () => {
      while (left > 0) {
        const piece = Buffer.alloc(Math.min(left, 65_536));
        left -= piece.length;
        if (!stream.write(piece)) return void stream.once("drain", write);
      }
      stream.end();
    };
    write();
  };
  for (const round of [65_536, 131_072, 262_144, 524_288, 1_048_576]) {
    for (const length of [round - 1, round, round + 1, round + 2]) {
      const several = Array.from(
        { length: 10 },
        () => completed(exchange(backends, app, { target: `/${length}` })),
      );
      for (const { bytes } of await Promise.all(several)) assert.equal(bytes, length);
    }
  }
});

test("node:http2: a backend that resets instead of ending has said all where the length of its head says so", async (t) => {
  const { backend, backends, app } = await started(t);
  // What Node does where the last byte fills the window: it cannot end the stream then, and nobody has read the request.
  let length = 0;
  backend.answer = ({ stream, headers }) => {
    length = stream.session!.remoteSettings.initialWindowSize!;
    const says = headers[":path"] === "/length";
    stream.respond({ ":status": 200, ...(says ? { "content-length": String(length) } : {}) });
    stream.write(Buffer.alloc(length), () => stream.end());
    stream.on("close", () => resume());
  };
  let resume = () => {};
  const slowly = (target: string) => {
    const recorder = exchange(backends, app, { target });
    recorder.take = () => false;
    resume = () => {
      recorder.take = () => true;
      recorder.exchange.resume();
    };
    return recorder;
  };
  assert.equal((await completed(slowly("/length"))).bytes, length);
  const open = slowly("/open");
  assert.equal((await failure(open)).code, "backend_reset");
  assert.equal(open.bytes, length);
});

test("node:http2: a head that ends the stream says so", async (t) => {
  const { backend, backends, app } = await started(t);
  backend.answer = ({ stream }) =>
    stream.respond({ ":status": 200, "grpc-status": "5" }, { endStream: true });
  let ended: boolean | undefined;
  const recorder = exchange(backends, app);
  const told = recorder.response.bind(recorder);
  recorder.response = (status, reason, headers, last?: boolean) => {
    ended = last;
    told(status, reason, headers);
  };
  await completed(recorder);
  assert.equal(ended, true);
});

/** Ways in which a backend breaks its response off. */
const BREAKS: readonly [string, (stream: ServerHttp2Stream) => void][] = [
  ["RST_STREAM NO_ERROR", (stream) => stream.destroy()],
  ["RST_STREAM INTERNAL_ERROR", (stream) => stream.destroy(new Error("broken"))],
  ["RST_STREAM CANCEL", (stream) => void addAbortSignal(AbortSignal.abort(), stream)],
  ["its connection closed", (stream) => stream.session!.destroy()],
];

for (const [how, breakOff] of BREAKS) {
  for (const [when, hasBody] of [["after the request", false], ["during the request", true]] as const) {
    test(`node:http2: a response broken off by ${how} ${when} fails, and is never whole`, async (t) => {
      const { backend, backends, app } = await started(t);
      backend.answer = ({ stream }) => {
        stream.respond({ ":status": 200 });
        stream.write("half");
      };
      const request = backend.next();
      const recorder = exchange(backends, app, { method: "POST", hasBody });
      if (hasBody) recorder.exchange.write(Buffer.from("some"));
      await recorder.answered;
      breakOff((await request).stream);
      const { code, begun } = await failure(recorder);
      assert.equal(code, "backend_reset");
      assert.equal(begun, true);
    });
  }
}

/** Frames that a client sends through a relay, as `TYPE` or `TYPE:END_STREAM`. */
async function frameRelay(t: TestContext, origin: string) {
  const frames: string[] = [];
  const server = createTcp((socket) => {
    const inner = connect(Number(new URL(origin).port), "127.0.0.1");
    let seen = Buffer.alloc(0);
    let at = 24; // The preface.
    socket.on("data", (bytes: Buffer) => {
      seen = Buffer.concat([seen, bytes]);
      for (; seen.length >= at + 9; at += 9 + seen.readUIntBE(at, 3)) {
        const type = seen[at + 3]!;
        const ends = type <= 1 && (seen[at + 4]! & 1) !== 0;
        if (type === 3) frames.push(`RST_STREAM ${seen.readUInt32BE(at + 9)}`);
        else if (type <= 1) frames.push(`${type === 0 ? "DATA" : "HEADERS"}${ends ? " END_STREAM" : ""}`);
      }
    });
    for (const end of [socket, inner]) end.on("error", () => {});
    socket.pipe(inner).pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => void server.close());
  return { frames, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

test("node:http2: abort resets the stream with CANCEL, and a body cut so is not ended first", async (t) => {
  const { backend, backends } = await started(t);
  const relay = await frameRelay(t, backend.origin);
  backend.answer = ({ stream }) => stream.resume();
  const request = backend.next();
  const recorder = exchange(backends, backendApp(relay.origin, H2C), {
    method: "POST",
    headers: ["Host", "a", "Content-Type", "application/grpc"],
    hasBody: true,
  });
  recorder.exchange.write(Buffer.from("some"));
  const { stream } = await request;
  await once(stream, "data");
  recorder.exchange.abort();
  await once(stream, "close");
  assert.deepEqual(relay.frames, ["HEADERS", "DATA", `RST_STREAM ${constants.NGHTTP2_CANCEL}`]);
});

test("node:http2: a whole answer before the end of the request completes, and the rest of the request is not sent", async (t) => {
  const { backend, backends, app } = await started(t);
  backend.answer = ({ stream }) => {
    stream.respond({ ":status": 413 });
    stream.end("too much");
  };
  const request = backend.next();
  const recorder = exchange(backends, app, { method: "POST", hasBody: true });
  recorder.exchange.write(Buffer.from("some"));
  const { stream } = await request;
  await completed(recorder);
  assert.equal(recorder.status, 413);
  assert.equal(recorder.body, "too much");
  if (!stream.destroyed) await once(stream, "close");
  assert.equal(stream.rstCode, constants.NGHTTP2_NO_ERROR);
});

test("node:http2: the backend's limit of streams is kept; what is over it waits or goes to another connection", async (t) => {
  const { backend, backends, app } = await started(t, { settings: { maxConcurrentStreams: 2 } });
  const most = new Map<unknown, number>();
  const open = new Map<unknown, number>();
  backend.answer = ({ stream }) => {
    const { session } = stream;
    open.set(session, (open.get(session) ?? 0) + 1);
    most.set(session, Math.max(most.get(session) ?? 0, open.get(session)!));
    stream.on("close", () => open.set(session, open.get(session)! - 1));
    stream.respond({ ":status": 200 });
    setImmediate(() => stream.end("ok"));
  };
  const recorders = Array.from({ length: 100 }, () => exchange(backends, app));
  for (const recorder of recorders) await completed(recorder);
  assert.ok(Math.max(...most.values()) <= 2);
  assert.ok(backend.sessionCount > 1 && backend.sessionCount <= 16, String(backend.sessionCount));
});

test("node:http2: exchanges one after another, and at once, share one connection", async (t) => {
  const { backend, backends, app } = await started(t);
  await completed(exchange(backends, app));
  await Promise.all(Array.from({ length: 50 }, () => completed(exchange(backends, app))));
  assert.equal(backend.sessionCount, 1);
});

test("node:http2: a request that the backend refuses to take on is sent again, body and all", async (t) => {
  const { backend, backends, app } = await started(t);
  let refusals = 0;
  let body = "";
  backend.answer = async ({ stream }) => {
    if (refusals++ < 2) return stream.close(constants.NGHTTP2_REFUSED_STREAM);
    body = await bodyOf(stream);
    stream.respond({ ":status": 200 });
    stream.end("taken");
  };
  const recorder = await completed(exchange(backends, app, { method: "POST" }, "the body"));
  assert.equal(recorder.body, "taken");
  assert.equal(body, "the body");
  assert.equal(refusals, 3);
});

test("node:http2: a backend that refuses again and again is busy, and has not begun", async (t) => {
  const { backend, backends, app } = await started(t);
  backend.answer = ({ stream }) => stream.close(constants.NGHTTP2_REFUSED_STREAM);
  const { code, begun } = await failure(exchange(backends, app));
  assert.equal(code, "backend_busy");
  assert.equal(begun, false);
});

test("node:http2: a request that GOAWAY leaves out goes to the next connection; one that it names is not sent twice", async (t) => {
  const { backend, backends, app } = await started(t);
  const first = backend.next();
  backend.answer = ({ stream }) => stream.respond({ ":status": 200 });
  const kept = exchange(backends, app);
  const { stream } = await first;
  await kept.answered;
  let requests = 0;
  backend.answer = (request) => {
    requests++;
    // Had seen the first stream only: what comes after it was not looked at.
    if (request.stream.session === stream.session) {
      stream.session!.goaway(constants.NGHTTP2_NO_ERROR, stream.id!);
    } else request.stream.respond({ ":status": 204 }, { endStream: true });
  };
  const second = await completed(exchange(backends, app));
  assert.equal(second.status, 204);
  assert.equal(requests, 2);
  assert.equal(backend.sessionCount, 2);
  stream.end("still whole");
  await completed(kept);
  assert.equal(kept.body, "still whole");
});

test("node:http2: a slow user holds the backend back, and nothing is lost", async (t) => {
  const { backend, backends, app } = await started(t);
  const size = 8 * 1024 * 1024;
  let pulled = 0;
  backend.answer = async ({ stream, headers }) => {
    stream.respond({ ":status": 200 });
    if (headers[":path"] === "/other") return stream.end();
    const piece = Buffer.alloc(64 * 1024);
    while (pulled < size) {
      pulled += piece.length;
      if (!stream.write(piece)) await once(stream, "drain");
    }
    stream.end();
  };
  const recorder = exchange(backends, app);
  const first = Promise.withResolvers<void>();
  recorder.take = () => {
    first.resolve();
    return false;
  };
  await first.promise;
  // Whole exchanges on the same connection: there was time for all that could come.
  for (let i = 0; i < 20; i++) await completed(exchange(backends, app, { target: "/other" }));
  assert.ok(pulled < size / 2, `${pulled} bytes left the backend`);
  recorder.take = () => true;
  recorder.exchange.resume();
  await completed(recorder);
  assert.equal(recorder.bytes, size);
});

test("node:http2: a slow backend holds the user back, and nothing is lost", async (t) => {
  const { backend, backends, app } = await started(t);
  const size = 8 * 1024 * 1024;
  backend.answer = () => {};
  const request = backend.next();
  const recorder = exchange(backends, app, { method: "PUT", hasBody: true });
  const piece = Buffer.alloc(64 * 1024);
  let sent = 0;
  const send = () => {
    while (sent < size) {
      sent += piece.length;
      if (!recorder.exchange.write(piece)) return;
    }
    recorder.exchange.end();
  };
  recorder.onDrained = send;
  send();
  const { stream } = await request;
  assert.ok(sent < size);
  let received = 0;
  for await (const chunk of stream) received += chunk.length;
  stream.respond({ ":status": 200 });
  stream.end("all");
  await completed(recorder);
  assert.equal(received, size);
});

test("node:http2: a backend of HTTP/1.1, or of nothing at all, is told apart from one that is down", async (t) => {
  const backends = testBackends(t);
  const http = createHttp((_req, res) => res.end("ok"));
  const closing = createTcp((socket) => socket.on("error", () => {}).end());
  const silent = createTcp((socket) => void socket.on("error", () => {}));
  const { key, cert } = await (await TestAuthority.create()).server("backend.test");
  const tls = createTls({ key, cert, ALPNProtocols: ["http/1.1"] }, (socket) => socket.on("error", () => {}));
  tls.on("tlsClientError", () => {});
  const tlsBare = createTls({ key, cert }, (socket) => socket.on("error", () => {}));
  const expected = [
    [http, H2C, "http", "backend_wrong_protocol"],
    [closing, H2C, "http", "backend_wrong_protocol"],
    [silent, H2C, "http", "backend_connect_timeout"],
    [tls, { backendProtocol: "h2" }, "https", "backend_wrong_protocol"],
    [tlsBare, { backendProtocol: "h2" }, "https", "backend_wrong_protocol"],
  ] as const;
  for (const [server, protocol, scheme, expectedCode] of expected) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const app = backendApp(`${scheme}://127.0.0.1:${port}`, {
      ...protocol,
      id: String(port),
      timeouts: { ...backendApp("http://a").timeouts, connectMs: 300 },
      tls: { ...backendApp("http://a").tls, validate: false },
    });
    const { code, begun } = await failure(exchange(backends, app));
    assert.equal(code, expectedCode);
    assert.equal(begun, false);
    server.close();
  }
});

test("node:http2: a port that nothing listens on, and settings that cannot be", async (t) => {
  const backends = testBackends(t);
  const refused = await failure(exchange(backends, backendApp("http://127.0.0.1:1", { ...H2C, id: "a" })));
  assert.equal(refused.code, "backend_refused");
  assert.equal(refused.begun, false);
  const odd = await failure(exchange(backends, backendApp("https://127.0.0.1:1", { ...H2C, id: "b" })));
  assert.equal(odd.code, "backend_misconfigured");
});

test("node:http2: over TLS by ALPN, the certificate checked; auto is for gRPC alone", async (t) => {
  const authority = await TestAuthority.create();
  const backend = await Http2Backend.start({ identity: await authority.server("backend.test") });
  t.after(() => backend[Symbol.asyncDispose]());
  const backends = testBackends(t);
  const base = backendApp(backend.origin, { backendProtocol: "auto" });
  const trusted = { ...base, tls: { ...base.tls, ca: authority.ca, serverName: "backend.test" } };
  const grpc = { method: "POST", headers: ["Host", "b", "Content-Type", "application/grpc"] };
  await completed(exchange(backends, trusted, grpc, ""));
  assert.equal(backend.sessionCount, 1);
  // The server speaks nothing but HTTP/2.
  assert.equal((await failure(exchange(backends, trusted))).code, "backend_wrong_protocol");
  const other = { ...trusted, id: "other", tls: { ...trusted.tls, serverName: "other.test" } };
  assert.equal((await failure(exchange(backends, other, grpc, ""))).code, "backend_tls_name_mismatch");
  const unknown = { ...base, id: "unknown" };
  assert.equal((await failure(exchange(backends, unknown, grpc, ""))).code, "backend_tls_untrusted");
});

test("node:http2: a head or body that does not come ends the exchange by its time-out", async (t) => {
  const { backend, backends, app } = await started(t);
  backend.answer = () => {};
  const timeouts = { ...app.timeouts, responseHeadMs: 100, idleMs: 100 };
  const head = exchange(backends, { ...app, timeouts });
  assert.equal((await failure(head)).code, "backend_timeout");
  backend.answer = ({ stream }) => {
    stream.respond({ ":status": 200 });
    stream.write("half");
  };
  assert.equal((await failure(exchange(backends, { ...app, timeouts }))).code, "backend_idle_timeout");
});

test("node:http2: an app that is forgotten lets its connection go once its exchanges have ended; close ends them", async (t) => {
  const { backend, backends, app } = await started(t);
  backend.answer = ({ stream }) => stream.respond({ ":status": 200 });
  const request = backend.next();
  const recorder = exchange(backends, app);
  const { stream } = await request;
  await recorder.answered;
  const [session] = [...backend.sessions];
  const closed = once(session!, "close");
  backends.forget(app.id);
  stream.end("whole");
  await completed(recorder);
  await closed;
  const next = backend.next();
  const last = exchange(backends, app);
  await next;
  await last.answered;
  await backends.close();
  assert.equal((await failure(last)).code, "backend_closed");
});

const NO_TIMEOUTS = { connectMs: 0, responseHeadMs: 0, idleMs: 0, totalMs: 0, upgradedIdleMs: 0 };

test("node:http2: a connection without streams is closed after a minute, one with streams is not", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { backend, backends, app } = await started(t);
  backend.answer = ({ stream }) => stream.respond({ ":status": 200 });
  const request = backend.next();
  const recorder = exchange(backends, { ...app, timeouts: NO_TIMEOUTS });
  const { stream } = await request;
  await recorder.answered;
  t.mock.timers.tick(61_000);
  stream.end("whole");
  await completed(recorder);
  const [session] = [...backend.sessions];
  const closed = once(session!, "close");
  // Its end on our side is a turn or two later than that of its stream.
  while (!session!.closed) {
    await new Promise((resolve) => setImmediate(resolve));
    t.mock.timers.tick(60_000);
  }
  await closed;
  assert.equal(backend.sessionCount, 1);
});

test("node:http2: a backend that answers no ping while streams are open has lost them", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { backend, backends } = await started(t);
  const relay = await tcpRelay();
  t.after(() => relay[Symbol.asyncDispose]());
  relay.target = Number(new URL(backend.origin).port);
  backend.answer = ({ stream }) => stream.respond({ ":status": 200 });
  const app = backendApp(`http://${relay.address}`, { ...H2C, timeouts: NO_TIMEOUTS });
  const recorder = exchange(backends, app);
  await recorder.answered;
  const [session] = [...backend.sessions];
  const pinged = once(session!, "ping");
  t.mock.timers.tick(60_000);
  t.mock.timers.tick(310_000);
  await pinged;
  // The answer is on its way: another exchange comes after it.
  backend.answer = ({ stream }) => stream.respond({ ":status": 204 }, { endStream: true });
  await completed(exchange(backends, app));
  t.mock.timers.tick(310_000);
  await once(session!, "ping");
  relay.silence();
  t.mock.timers.tick(310_000);
  t.mock.timers.tick(310_000);
  assert.equal((await failure(recorder)).code, "backend_reset");
});
