import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer as createRelay } from "node:net";
import { before, test } from "node:test";
import { connect as connectTls, createSecureContext, createServer, type Server } from "node:tls";
import { connect as connectHttp2 } from "node:http2";
import { Buffer } from "node:buffer";
import type { AcceptorOptions } from "../../src/broker/listener/acceptor.ts";
import { parseCidrList } from "../../src/broker/listener/address.ts";
import { createOnePort } from "../../src/broker/listener/one_port.ts";
import type { IngressLimits } from "../../src/broker/listener/handlers.ts";
import { createPlain } from "../../src/broker/listener/plain.ts";
import { createPublicTls, type PublicTls } from "../../src/broker/listener/public_tls.ts";
import { silentLog } from "../../src/platform/log.ts";
import { publicCertificate, type TestCertificate } from "../support/public_certificate.ts";
import {
  echoHandlers,
  exchangeRaw,
  handshake,
  received,
  request1,
  request2,
} from "../support/listener_client.ts";

let pair: TestCertificate;
let tunnelPair: TestCertificate;
before(async () => {
  [pair, tunnelPair] = await Promise.all([
    publicCertificate("*.app.test"),
    publicCertificate("tunnel.internal"),
  ]);
});

const where = { address: "127.0.0.1", port: 0, log: silentLog };

/** One port with a public TLS server, and a server that asks for certificates for `tunnel.internal`. */
async function start(options: Partial<AcceptorOptions> & { limits?: Partial<IngressLimits> } = {}) {
  const context = createSecureContext({ cert: pair.cert, key: pair.key });
  const users: PublicTls = createPublicTls({
    certificates: {
      contextFor: (name) => name?.endsWith(".app.test") ? context : undefined,
      fallback: undefined,
      onChange: () => () => {},
    },
    handlers: echoHandlers(),
    log: silentLog,
    limits: options.limits ?? {},
  });
  const connectors: Server = createServer({ ...tunnelPair, requestCert: true, rejectUnauthorized: true });
  connectors.on("tlsClientError", (_error, socket) => socket.destroy());
  const port = createOnePort({
    ...where,
    ...options,
    targetOf: ({ serverName }) =>
      serverName === "tunnel.internal" ? connectors : serverName?.endsWith(".app.test") ? users : undefined,
  });
  const bound = await port.listen();
  return {
    port,
    users,
    number: bound.port,
    client: (servername: string, more = {}) => ({ port: bound.port, servername, ca: pair.ca, ...more }),
    async [Symbol.asyncDispose]() {
      await Promise.all([port.close(0), users.close(0)]);
    },
  };
}

test("one port serves HTTP/1.1 and HTTP/2 by ALPN, on IPv4 and IPv6", async () => {
  await using broker = await start({ address: "::" });
  for (const host of ["127.0.0.1", "::1"]) {
    const old = await handshake(broker.client("a.app.test", { host }));
    assert.ok((await request1(old, "/x?y")).endsWith(`1.1 GET /x?y ${host}`));
    const named = await handshake(broker.client("a.app.test", { host, ALPNProtocols: ["http/1.1"] }));
    assert.ok((await request1(named, "/x")).endsWith(`1.1 GET /x ${host}`));
    const h2 = await handshake(broker.client("b.app.test", { host, ALPNProtocols: ["h2", "http/1.1"] }));
    assert.deepEqual(await request2(h2, { ":path": "/x//../y" }), {
      status: 200,
      body: `2 GET /x//../y ${host}`,
    });
  }
});

test("a browser is never asked for a certificate, a connector always is", async () => {
  await using broker = await start();
  const user = await handshake(broker.client("a.app.test"));
  assert.equal(user.authorized, true);
  user.destroy();
  const socket = connectTls({
    ...broker.client("tunnel.internal", { ca: tunnelPair.ca, maxVersion: "TLSv1.2" }),
    host: "127.0.0.1",
  });
  const [error] = await once(socket, "error") as [NodeJS.ErrnoException];
  assert.match(error.code ?? "", /HANDSHAKE_FAILURE|ECONNRESET/);
});

test("a name that nobody has is refused with the alert for it", async () => {
  await using broker = await start();
  for (const servername of ["other.example", ""]) {
    const socket = connectTls({ host: "127.0.0.1", port: broker.number, servername, ca: pair.ca });
    const [error] = await once(socket, "error") as [NodeJS.ErrnoException];
    assert.match(error.code ?? "", /UNRECOGNIZED_NAME/);
  }
});

test("a ClientHello in pieces of one byte is understood", async () => {
  await using broker = await start();
  // A relay that cuts whatever the client says first into single bytes.
  const relay = createRelay(async (from) => {
    const to = connect({ port: broker.number, host: "127.0.0.1", noDelay: true });
    from.on("error", () => to.destroy());
    to.on("error", () => from.destroy());
    to.pipe(from);
    const [first] = await once(from, "data") as [Buffer];
    from.pause();
    for (const byte of first) {
      to.write(Uint8Array.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    from.pipe(to);
  });
  await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
  try {
    const { port } = relay.address() as { port: number };
    const socket = await handshake({ port, servername: "a.app.test", ca: pair.ca });
    assert.match(await request1(socket, "/pieces"), /1\.1 GET \/pieces/);
  } finally {
    relay.close();
  }
});

test("silent clients, half a hello and things that are not TLS are closed; others are served meanwhile", async () => {
  await using broker = await start({ frontTimeoutMs: 1_500 });
  const silent = Array.from({ length: 20 }, () => exchangeRaw(broker.number));
  const half = exchangeRaw(broker.number, Uint8Array.of(22, 3, 1, 0, 200, 1, 0));
  assert.equal(await exchangeRaw(broker.number, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"), "");
  const socket = await handshake(broker.client("a.app.test"));
  assert.match(await request1(socket, "/"), /1\.1 GET/);
  assert.deepEqual(new Set(await Promise.all([...silent, half])), new Set([""]));
  assert.equal(broker.port.counts.looking, 0);
});

test("the number of connections being looked at is bounded", async () => {
  await using broker = await start({ maxFronts: 3 });
  const waiting = [];
  for (let i = 0; i < 3; i++) {
    const socket = connect({ port: broker.number, host: "127.0.0.1" });
    await once(socket, "connect");
    socket.on("error", () => {});
    socket.write(Uint8Array.of(22));
    waiting.push(socket);
  }
  // A fourth takes the place of the one that has said nothing for longest.
  const socket = await handshake(broker.client("a.app.test"));
  assert.match(await request1(socket, "/"), /1\.1 GET/);
  assert.equal(await received(waiting[0]!), "");
  assert.equal(broker.port.counts.looking, 2);
  for (const one of waiting) one.destroy();
});

test("an address that is taken is an error with a code", async () => {
  await using broker = await start();
  const second = createPlain({ ...where, port: broker.number, handlers: echoHandlers() });
  await assert.rejects(second.listen(), { code: "listen_failed" });
  await second.close(0);
});

test("HTTP/2: extended CONNECT is offered and handed on, too many headers end the stream", async () => {
  await using broker = await start({ limits: { maxHeaders: 20 } });
  const open = () => handshake(broker.client("a.app.test", { ALPNProtocols: ["h2"] }));
  const extended = await request2(await open(), {
    ":method": "CONNECT",
    ":protocol": "websocket",
    ":scheme": "https",
    ":authority": "a.app.test",
    ":path": "/ws",
  });
  assert.match(extended.body, /^2 CONNECT \/ws websocket/);
  const many = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`x-${i}`, "1"]));
  await assert.rejects(request2(await open(), { ":path": "/", ...many }));
});

test("HTTP/1.1: what is not a request is answered with an error page, and the connection ends", async () => {
  const limits = { maxHeaderBytes: 4_096, maxHeaders: 20 };
  await using plain = createPlain({ ...where, handlers: echoHandlers(), limits });
  const { port } = await plain.listen();
  const cases: [string, string, number, string][] = [
    ["nonsense", "nonsense\r\n\r\n", 400, "bad_request"],
    [
      "two lengths",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
      400,
      "bad_request",
    ],
    ["a long head", `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(5_000)}\r\n\r\n`, 431, "header_too_large"],
    ["many headers", `GET / HTTP/1.1\r\nHost: a\r\n${"X: 1\r\n".repeat(40)}\r\n`, 431, "header_too_large"],
    ["CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 400, "bad_request"],
  ];
  const check = (answer: string, name: string, status: number, code: string) => {
    assert.ok(answer.startsWith(`HTTP/1.1 ${status} `), `${name}: ${answer}`);
    assert.equal(JSON.parse(answer.split("\r\n\r\n")[1]!).code, code, name);
  };
  await Promise.all(cases.map(async ([name, bytes, status, code]) => {
    check(await exchangeRaw(port, bytes), name, status, code);
  }));
  // Not with the others: none of them has to be there in so short a time.
  const hasty = { ...limits, headersTimeoutMs: 200 };
  await using impatient = createPlain({ ...where, handlers: echoHandlers(), limits: hasty });
  const half = await exchangeRaw((await impatient.listen()).port, "GET / HTTP/1.1\r\nHost: a\r\n");
  check(half, "half a head", 408, "request_timeout");
});

test("HTTP/1.1: upgrades are handed on with their first bytes; h2c and bodies stay requests; Expect is asked", async () => {
  await using plain = createPlain({ ...where, handlers: echoHandlers() });
  const { port } = await plain.listen();
  const socket = connect({ port, host: "127.0.0.1" });
  socket.end("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst");
  const upgraded = await received(socket);
  assert.match(upgraded, /^HTTP\/1\.1 101 /);
  assert.ok(upgraded.endsWith("\r\n\r\nfirst"));
  const head = "HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\n";
  assert.match(await exchangeRaw(port, `GET /h2c ${head}Upgrade: h2c\r\n\r\n`), /1\.1 GET \/h2c/);
  assert.match(
    await exchangeRaw(port, `POST /b ${head}Upgrade: websocket\r\nContent-Length: 1\r\n\r\nx`),
    /1\.1 POST \/b/,
  );
  assert.match(
    await exchangeRaw(
      port,
      "PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
    ),
    /^HTTP\/1\.1 417 /,
  );
});

const V1 = "PROXY TCP4 192.0.2.77 127.0.0.1 4711 443\r\n";
const V2 = Buffer.concat([
  Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1"),
  Buffer.from([0x21, 0x11, 0, 12, 192, 0, 2, 77, 127, 0, 0, 1, 0x12, 0x67, 1, 0xbb]),
]);

/** A TLS connection that begins with a PROXY header. */
async function proxied(port: number, header: string | Uint8Array, ALPNProtocols: string[]) {
  const tcp = connect({ port, host: "127.0.0.1" });
  tcp.write(header as string);
  return await handshake({ socket: tcp, servername: "a.app.test", ca: pair.ca, ALPNProtocols });
}

test("PROXY protocol before TLS tells the client's address to HTTP/1.1 and HTTP/2", async () => {
  await using broker = await start({ proxyProtocol: parseCidrList([]) });
  for (const header of [V1, V2]) {
    const h1 = await proxied(broker.number, header, ["http/1.1"]);
    assert.match(await request1(h1, "/"), / 192\.0\.2\.77$/);
    const h2 = await proxied(broker.number, header, ["h2"]);
    assert.equal((await request2(h2, { ":path": "/" })).body, "2 GET / 192.0.2.77");
  }
  const local = await proxied(broker.number, "PROXY UNKNOWN\r\n", ["h2"]);
  assert.equal((await request2(local, { ":path": "/" })).body, "2 GET / 127.0.0.1");
  await assert.rejects(handshake(broker.client("a.app.test")), "without a header nobody gets in");
});

test("PROXY protocol before plain HTTP: in one packet with the request, or in single bytes", async () => {
  await using plain = createPlain({ ...where, handlers: echoHandlers(), proxyProtocol: parseCidrList([]) });
  const { port } = await plain.listen();
  const request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  assert.match(await exchangeRaw(port, V1 + request), / 192\.0\.2\.77$/);
  assert.match(await exchangeRaw(port, ...V1, request), / 192\.0\.2\.77$/);
  assert.match(
    await exchangeRaw(port, ...[...V2].map((byte) => Uint8Array.of(byte)), request),
    / 192\.0\.2\.77$/,
  );
  assert.equal(await exchangeRaw(port, request), "");
});

test("PROXY protocol is read only from the sources listed: others are clients, and cannot claim an address", async () => {
  await using broker = await start({ proxyProtocol: parseCidrList(["192.0.2.0/24"]) });
  const direct = await handshake(broker.client("a.app.test"));
  assert.match(await request1(direct, "/"), / 127\.0\.0\.1$/);
  await assert.rejects(proxied(broker.number, V1, ["h2"]));
});

/** Whether a promise is settled once everything that was under way has had a turn. */
async function isPending(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol();
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  return await Promise.race([promise, Promise.resolve(pending)]) === pending;
}

test("closing lets exchanges end, ends what is idle, and destroys the rest after the grace time", async () => {
  await using broker = await start();
  const idle = await handshake(broker.client("a.app.test"));
  idle.write("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  await once(idle, "data");
  const stuck = await handshake(broker.client("a.app.test"));
  stuck.write("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  await once(stuck, "data");
  const h2 = await handshake(broker.client("a.app.test", { ALPNProtocols: ["h2"] }));
  const session = connectHttp2("https://a.app.test", { createConnection: () => h2 });
  await once(session, "remoteSettings");
  const looking = connect({ port: broker.number, host: "127.0.0.1" });
  await once(looking, "connect");

  const graceMs = 1_500;
  const started = performance.now();
  const closing = Promise.all([broker.port.close(graceMs), broker.users.close(graceMs)]);
  await Promise.all([received(idle), received(looking), once(session, "close")]);
  assert.ok(await isPending(closing), "the upgraded connection is still there");
  stuck.write("still here");
  const [answer] = await once(stuck, "data") as [Buffer];
  assert.equal(answer.toString(), "still here");
  await Promise.all([received(stuck), closing]);
  assert.ok(performance.now() - started >= graceMs - 10);
  assert.equal(broker.port.counts.open, 0);
  await assert.rejects(handshake(broker.client("a.app.test")));
});
