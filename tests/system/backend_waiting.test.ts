import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { exchangeError } from "../../src/connector/backend/exchange_error.ts";
import { DiallingAgent } from "../../src/connector/backend/node_http.ts";
import { NodeHttpExchange } from "../../src/connector/backend/node_http_exchange.ts";
import { Http2Session } from "../../src/connector/backend/http2_session.ts";
import { DEFAULT_TIMEOUTS } from "../../src/protocol/app.ts";
import {
  backendApp,
  completed,
  exchange,
  failure,
  Recorder,
  testBackends,
} from "../support/backend_exchange.ts";
import { Http2Backend } from "../support/http2_backend.ts";
import { answerOk, rawBackend } from "../support/raw_backend.ts";
import { until } from "../support/until.ts";

/** A header that only `node:http` can send: the same request goes through either adapter. */
const ADAPTERS: [string, string[]][] = [["undici", []], ["node:http", ["Keep-Alive", "x"]]];
const H2C = { backendProtocol: "h2c" } as const;

for (const [name, extra] of ADAPTERS) {
  const headers = ["Host", "a", ...extra];

  test(`${name}: a request that waits too long for a connection fails as busy, before it has begun`, async (t) => {
    const backend = await rawBackend(t, ({ socket }) => {
      socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    });
    const backends = testBackends(t, { connectionsPerApp: 1, waitMs: 20 });
    const app = backendApp(backend.origin, { timeouts: { responseHeadMs: 0, idleMs: 0 } });
    const answered = () =>
      until("a request has a connection in time", async () => {
        const one = exchange(backends, app, { headers });
        await one.answered;
        return one.status === 200 && one;
      });
    const long = await answered();
    const { code, begun } = await failure(exchange(backends, app, { headers }));
    assert.deepEqual([code, begun], ["backend_busy", false]);
    // Its place is free again.
    backend.requests[0]!.socket.write("0\r\n\r\n");
    await completed(long);
    const next = exchange(backends, app, { headers });
    await next.answered;
    assert.equal(next.status, 200);
  });

  test(`${name}: requests given up while they wait cost no connection, and those behind them get their turn`, async (t) => {
    const arrived = Promise.withResolvers<Socket>();
    const backend = await rawBackend(t, ({ socket, head }) => {
      if (head.includes("/first")) arrived.resolve(socket);
      else socket.write(answerOk());
    });
    const backends = testBackends(t, { connectionsPerApp: 1, waitingPerApp: 4 });
    const app = backendApp(backend.origin);
    const first = exchange(backends, app, { headers, target: "/first" });
    const socket = await arrived.promise;
    for (let i = 0; i < 100; i++) exchange(backends, app, { headers }).exchange.abort();
    const last = [0, 1, 2].map(() => exchange(backends, app, { headers }));
    socket.write(answerOk());
    await completed(first);
    for (const one of last) await completed(one);
    assert.equal(backend.connections.length, 1);
  });
}

test("undici: a request given up while its connection is made counts until that is over", async (t) => {
  const backend = await rawBackend(t, ({ socket }) => socket.write(answerOk()));
  const asked = Promise.withResolvers<() => void>();
  let lookups = 0;
  const backends = testBackends(t, {
    connectionsPerApp: 1,
    waitingPerApp: 0,
    lookup: (_name, _options, told) => {
      const answer = () => told(null, [{ address: "127.0.0.1", family: 4 }]);
      if (lookups++ === 0) asked.resolve(answer);
      else answer();
    },
  });
  const app = backendApp(`http://slow.test:${backend.port}`);
  exchange(backends, app).exchange.abort();
  const answer = await asked.promise;
  assert.equal((await failure(exchange(backends, app))).code, "backend_busy");
  answer();
  const next = await until("there is room again", async () => {
    const next = exchange(backends, app);
    await next.outcome;
    return next.status !== 0 && next;
  });
  assert.equal(next.status, 200);
  assert.equal(lookups, 2);
});

test("node:http: a request given up while it waits is in no queue any more", async (t) => {
  const arrived = Promise.withResolvers<void>();
  const backend = await rawBackend(t, () => arrived.resolve());
  const agent = new DiallingAgent(
    {
      dial: (dialled: (error: null, socket: Socket) => void) => {
        const socket = connect(backend.port, "127.0.0.1", () => dialled(null, socket));
      },
    } as never,
    1,
    true,
  );
  t.after(() => agent.destroy());
  const owner = { waits() {}, hasConnection() {}, left() {} };
  const started = () => {
    const one = new NodeHttpExchange(new Recorder(), DEFAULT_TIMEOUTS, owner);
    one.start(agent, { method: "GET", target: "/", headers: ["Host", "a"], hasBody: false }, "a", agent);
    return one;
  };
  const first = started();
  await arrived.promise;
  const waiting = [started(), started(), started()];
  assert.equal(Object.values(agent.requests)[0]!.length, 3);
  waiting[1]!.abort();
  assert.equal(Object.values(agent.requests)[0]!.length, 2);
  waiting[0]!.abort();
  waiting[2]!.fail(exchangeError("backend_closed"));
  assert.deepEqual(Object.keys(agent.requests), []);
  first.abort();
});

test("node:http2: a backend that allows no stream is busy, also for requests that come later", async (t) => {
  const backend = await Http2Backend.start({ settings: { maxConcurrentStreams: 0 } });
  t.after(() => backend[Symbol.asyncDispose]());
  const backends = testBackends(t, { waitMs: 50 });
  const app = backendApp(backend.origin, H2C);
  for (let i = 0; i < 2; i++) {
    const { code, begun } = await failure(exchange(backends, app));
    assert.deepEqual([code, begun], ["backend_busy", false]);
  }
});

/** Passes bytes on, and never the end of a connection: as a firewall that forgot it, or a peer that keeps its half open. */
async function endlessRelay(t: TestContext) {
  const backend = await Http2Backend.start();
  const ended: Promise<unknown>[] = [];
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({
      host: "127.0.0.1",
      port: Number(new URL(backend.origin).port),
      allowHalfOpen: true,
    });
    sockets.push(near, far);
    for (const socket of [near, far]) socket.on("error", () => {});
    ended.push(once(near, "end"));
    near.on("data", (bytes) => far.write(bytes));
    far.on("data", (bytes) => near.destroyed || near.write(bytes));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
    return backend[Symbol.asyncDispose]();
  });
  return { ended, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

test("node:http2: connections closed as idle do not count, though the other side never ends them", async (t) => {
  const relay = await endlessRelay(t);
  const backends = testBackends(t, { http2IdleMs: 5, waitMs: 20_000 });
  const app = backendApp(relay.origin, H2C);
  for (let i = 0; i < 20; i++) {
    await completed(exchange(backends, app));
    await relay.ended[i];
  }
});

test("node:http2: a connection closed as idle is ended when the other side does not end it", async (t) => {
  const relay = await endlessRelay(t);
  const { port } = new URL(relay.origin);
  const socket = connect(Number(port), "127.0.0.1");
  await once(socket, "connect");
  const closed = once(socket, "close");
  const left: boolean[] = [];
  const target = `127.0.0.1:${port}`;
  const session = new Http2Session(
    socket,
    { host: "127.0.0.1", port: Number(port), tls: false, target },
    { setupMs: 0, idleMs: 5 },
    { sessionSettled: () => {}, sessionLeft: ({ isGone }) => left.push(isGone) },
  );
  await closed;
  assert.deepEqual(left, [false, true]);
  assert.equal(session.hasRoom, false);
});
