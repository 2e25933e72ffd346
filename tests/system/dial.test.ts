import assert from "node:assert/strict";
import { once } from "node:events";
import { createSecureServer, type Http2SecureServer, type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { after, before, test, type TestContext } from "node:test";
import { createServer as createTlsServer, type TlsOptions, type TLSSocket } from "node:tls";
import { createTunnelApp } from "../../src/broker/tunnel/app.ts";
import { serveStreams } from "../../src/broker/tunnel/hono_streams.ts";
import { createTunnelServer } from "../../src/broker/tunnel/server.ts";
import { dialTunnel } from "../../src/connector/dial.ts";
import { DialError } from "../../src/connector/errors.ts";
import type { DialTarget } from "../../src/connector/tunnel_socket.ts";
import { silentLog } from "../../src/platform/log.ts";
import { type TunnelIdentity, tunnelIdentity } from "../support/tunnel_identity.ts";

/** For what fails by an event: never reached. */
const LONG_MS = 30_000;
/** For what fails by its deadline, as long as no step before it takes so long. */
const SHORT_MS = 150;

let ours: TunnelIdentity;
let foreign: TunnelIdentity;

before(async () => {
  ours = await tunnelIdentity();
  foreign = await tunnelIdentity();
});

after(async () => {
  await ours[Symbol.asyncDispose]();
  await foreign[Symbol.asyncDispose]();
});

/** A listening server that knows when all its connections are gone. */
interface Place {
  port: number;
  /** Connections it has accepted. */
  accepted(): number;
  /** Resolves once no connection is open any more. */
  empty(): Promise<void>;
}

async function listen(t: TestContext, server: Server): Promise<Place> {
  const open = new Set<Socket>();
  let accepted = 0;
  let onClosed = (): void => {};
  server.on("connection", (socket: Socket) => {
    accepted += 1;
    open.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => {
      open.delete(socket);
      onClosed();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(async () => {
    for (const socket of open) socket.destroy();
    const closed = once(server, "close");
    server.close();
    await closed;
  });
  return {
    port: (server.address() as AddressInfo).port,
    accepted: () => accepted,
    empty: () =>
      new Promise((resolve) => {
        onClosed = () => {
          if (open.size === 0) resolve();
        };
        onClosed();
      }),
  };
}

/** A TCP server that reads, and does with each connection what it is told. */
function tcp(t: TestContext, accept: (socket: Socket) => void = () => {}): Promise<Place> {
  return listen(
    t,
    createServer((socket) => {
      socket.resume();
      accept(socket);
    }),
  );
}

/** A TLS server that wants a client certificate and does with each connection what it is told. */
function tls(
  t: TestContext,
  accept: (socket: TLSSocket) => void = () => {},
  options: TlsOptions = {},
): Promise<Place> {
  const server = createTlsServer({ ...ours.server, requestCert: true, ALPNProtocols: ["h2"], ...options });
  server.on("secureConnection", (socket) => {
    socket.on("error", () => {});
    socket.resume();
    accept(socket);
  });
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  return listen(t, server);
}

/** An HTTP/2 server that wants a client certificate and does with each stream what it is told. */
async function http2(
  t: TestContext,
  onStream: (stream: ServerHttp2Stream) => void = () => {},
  requestCert = true,
): Promise<Place & { server: Http2SecureServer }> {
  const server = createSecureServer({ ...ours.server, requestCert });
  server.on("session", (session) => session.on("error", () => {}));
  server.on("sessionError", () => {});
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  server.on("stream", (stream) => {
    stream.on("error", () => {});
    onStream(stream as ServerHttp2Stream);
  });
  return { ...await listen(t, server as unknown as Server), server };
}

/** The server of our own broker, without a broker behind. */
async function broker(t: TestContext): Promise<Place> {
  const { server } = createTunnelServer(tunnelApp(), {
    credentials: ours.server,
    minVersion: "TLSv1.3",
    maxLanes: 16,
    onTlsError: () => {},
  });
  return await listen(t, server as unknown as Server);
}

function tunnelApp() {
  return createTunnelApp({
    store: {} as never,
    tunnels: { find: () => undefined } as never,
    identityOf: (leaf) => ours.ca.identityOf(leaf),
    externalIpOf: () => "192.0.2.1",
    log: silentLog,
  });
}

function timers(): number {
  return process.getActiveResourcesInfo?.().filter((name) => name === "Timeout").length ?? 0;
}

const never = new AbortController().signal;

/** Dials and gives the error; nothing may be left of the attempt, on either side. */
async function refusedDial(
  target: DialTarget,
  place: Place | null,
  { stepMs = LONG_MS, signal = never }: { stepMs?: number; signal?: AbortSignal } = {},
): Promise<DialError> {
  const before = timers();
  const error = await dialTunnel(target, stepMs, signal).then(
    () => assert.fail("the dial succeeded"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof DialError, String(error));
  await place?.empty();
  assert.ok(timers() <= before, "a timer is left");
  return error;
}

/** Dials a place that falls silent at this step; a step before it that took too long says nothing, and all get longer. */
async function silentDial(place: Place, step: string): Promise<DialError> {
  for (let stepMs = SHORT_MS;; stepMs *= 2) {
    const error = await refusedDial(ours.target(place.port), place, { stepMs });
    if (error.details.step === step || stepMs >= LONG_MS) return error;
  }
}

function assertFailure(error: DialError, code: DialError["code"], step: string, retryable: boolean): void {
  assert.deepEqual(
    { code: error.code, step: error.details.step, retryable: error.retryable },
    { code, step, retryable },
    `${error.message}, cause: ${error.cause}`,
  );
}

test("a name that does not resolve", async () => {
  const target = { ...ours.target(1), address: { host: `${"a".repeat(70)}.invalid`, port: 1 } };
  assertFailure(await refusedDial(target, null), "broker_unresolvable", "connecting", true);
});

test("a port where nobody listens", async () => {
  const error = await refusedDial(ours.target(1), null);
  assertFailure(error, "broker_unreachable", "connecting", true);
  assert.equal(error.details.reason, "ECONNREFUSED");
});

test("silence after TCP", async (t) => {
  const place = await tcp(t);
  assertFailure(await silentDial(place, "tls"), "broker_timeout", "tls", true);
});

test("silence after TLS", async (t) => {
  const place = await tls(t);
  assertFailure(await silentDial(place, "http2"), "broker_timeout", "http2", true);
});

test("silence after HTTP/2 settings", async (t) => {
  const place = await http2(t);
  assertFailure(await silentDial(place, "control"), "broker_timeout", "control", true);
});

test("silence within a refusal", async (t) => {
  const place = await http2(t, (stream) => {
    stream.respond({ ":status": 403 });
    stream.write("{");
  });
  assertFailure(await silentDial(place, "control"), "broker_timeout", "control", true);
});

test("a server that asks for no certificate: our own application refuses with its code", async (t) => {
  const serve = serveStreams(tunnelApp());
  const place = await http2(t, () => {}, false);
  place.server.on("stream", (stream, headers) => serve(stream as ServerHttp2Stream, headers));
  const error = await refusedDial(ours.target(place.port), place);
  assertFailure(error, "tunnel_refused", "control", false);
  assert.equal(error.details.status, 401);
  assert.equal(error.details.reason, "certificate_missing");
});

for (const [status, retryable] of [[404, false], [503, true]] as const) {
  test(`a foreign HTTP/2 server that answers ${status}`, async (t) => {
    const place = await http2(t, (stream) => {
      stream.respond({ ":status": status, "content-type": "text/html" });
      stream.end("<h1>hello</h1>");
    }, false);
    const error = await refusedDial(ours.target(place.port), place);
    assertFailure(error, "tunnel_refused", "control", retryable);
    assert.equal(error.details.reason, `http_${status}`);
  });
}

test("a refusal with a body without end is cut", async (t) => {
  const place = await http2(t, (stream) => {
    stream.respond({ ":status": 403 });
    const more = (): void => {
      while (!stream.destroyed && stream.write("x".repeat(1024)));
    };
    stream.on("drain", more);
    more();
  });
  assertFailure(await refusedDial(ours.target(place.port), place), "tunnel_refused", "control", false);
});

test("a refusal that is broken off", async (t) => {
  const place = await http2(t, (stream) => {
    stream.respond({ ":status": 403 });
    stream.write("{", () => stream.session?.destroy());
  });
  const error = await refusedDial(ours.target(place.port), place);
  assertFailure(error, "tunnel_refused", "control", false);
});

test("no certificate given to our broker's server, which wants one", async (t) => {
  const place = await broker(t);
  const { certificate: _, key: __, ...target } = ours.target(place.port);
  const error = await refusedDial(target as DialTarget, place);
  assertFailure(error, "certificate_rejected", "http2", false);
});

test("a certificate of another authority given to our broker's server", async (t) => {
  const place = await broker(t);
  const { certificate, key } = foreign.target(place.port);
  const error = await refusedDial({ ...ours.target(place.port), certificate, key }, place);
  // Node closes the connection without a word once the handshake is over; no alert says why.
  assertFailure(error, "broker_lost", "http2", true);
});

test("a server of another authority", async (t) => {
  const place = await broker(t);
  const { ca } = foreign.target(place.port);
  const error = await refusedDial({ ...ours.target(place.port), ca }, place);
  assertFailure(error, "broker_untrusted", "tls", false);
});

test("a server with another name", async (t) => {
  const place = await broker(t);
  const error = await refusedDial({ ...ours.target(place.port), tunnelName: "other.sallyport.test" }, place);
  assertFailure(error, "broker_name_mismatch", "tls", false);
});

test("a server that speaks HTTP/1.1 only", async (t) => {
  const place = await tls(t, () => {}, { ALPNProtocols: ["http/1.1"] });
  assertFailure(await refusedDial(ours.target(place.port), place), "broker_no_http2", "tls", false);
});

test("a server that does not negotiate a protocol", async (t) => {
  const place = await tls(t, () => {}, { ALPNProtocols: [] });
  assertFailure(await refusedDial(ours.target(place.port), place), "broker_no_http2", "tls", false);
});

test("a server that speaks no TLS", async (t) => {
  const place = await tcp(t, (socket) => socket.write("220 mail.example.com ESMTP\r\n"));
  assertFailure(await refusedDial(ours.target(place.port), place), "tls_failed", "tls", false);
});

test("a server that speaks TLS and then garbage", async (t) => {
  const place = await tls(t, (socket) => socket.write("garbage ".repeat(100)));
  const error = await refusedDial(ours.target(place.port), place);
  assertFailure(error, "broker_lost", "http2", true);
});

test("a connection that is closed after TCP", async (t) => {
  const place = await tcp(t, (socket) => socket.end());
  assertFailure(await refusedDial(ours.target(place.port), place), "broker_lost", "tls", true);
});

test("a connection that is reset after TCP", async (t) => {
  // Not before its first bytes have come: until then it counts as refused.
  const place = await tcp(t, (socket) => socket.once("data", () => socket.resetAndDestroy()));
  assertFailure(await refusedDial(ours.target(place.port), place), "broker_lost", "tls", true);
});

test("a connection that is closed after TLS", async (t) => {
  const place = await tls(t, (socket) => socket.end());
  assertFailure(await refusedDial(ours.target(place.port), place), "broker_lost", "http2", true);
});

test("a connection that is closed after HTTP/2 settings", async (t) => {
  const place = await http2(t, (stream) => stream.session?.destroy());
  assertFailure(await refusedDial(ours.target(place.port), place), "broker_lost", "control", true);
});

test("a control stream that is reset", async (t) => {
  const place = await http2(t, (stream) => stream.destroy(new Error("not here")));
  assertFailure(await refusedDial(ours.target(place.port), place), "broker_lost", "control", true);
});

test("a dial that is given up at each step", async (t) => {
  const places: [string, (onReached: () => void) => Promise<Place>][] = [
    ["tls", (reached) => tcp(t, reached)],
    ["http2", (reached) => tls(t, reached)],
    ["control", (reached) => http2(t, reached)],
  ];
  for (const [step, make] of places) {
    const controller = new AbortController();
    const place = await make(() => controller.abort());
    const error = await refusedDial(ours.target(place.port), place, { signal: controller.signal });
    assert.equal(error.code, "broker_lost");
    assert.ok(place.accepted() === 1, step);
  }
});

test("a dial that was given up before it began reaches nobody", async (t) => {
  const place = await tcp(t);
  const error = await refusedDial(ours.target(place.port), place, { signal: AbortSignal.abort() });
  assert.equal(error.code, "broker_lost");
});

test("a dial that succeeded is not given up any more", async (t) => {
  const place = await http2(t, (stream) => stream.respond({ ":status": 200 }));
  const controller = new AbortController();
  const before = timers();
  const dialled = await dialTunnel(ours.target(place.port), LONG_MS, controller.signal);
  controller.abort();
  await new Promise((resolve) => dialled.session.ping(resolve));
  assert.ok(timers() <= before, "a timer is left");
  assert.equal(dialled.remoteAddress, "127.0.0.1");
  assert.equal(dialled.session.alpnProtocol, "h2");
  dialled.session.destroy();
  await place.empty();
});
