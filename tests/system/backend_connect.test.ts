import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { Worker } from "node:worker_threads";
import { AllowList } from "../../src/connector/backend/allow_list.ts";
import type { Lookup } from "../../src/connector/backend/dial.ts";
import { backendApp, completed, exchange, failure, testBackends } from "../support/backend_exchange.ts";
import { ownPort } from "../support/own_port.ts";
import { answerOk, rawBackend } from "../support/raw_backend.ts";

const ADAPTERS: [string, string[]][] = [["undici", []], ["node:http", ["Keep-Alive", "x"]]];
const SHORT = { connectMs: 300 };
/** More than a resolver takes to give a name up that no server of names answers for. */
const PATIENT = { connectMs: 100_000 };

/** A resolver that answers each question with the next of `answers`, then with the last again. */
function resolver(...answers: string[][]): { lookup: Lookup; asked: string[] } {
  const asked: string[] = [];
  const lookup: Lookup = (hostname, _options, callback) => {
    const answer = answers[Math.min(asked.length, answers.length - 1)]!;
    asked.push(hostname);
    setImmediate(() =>
      callback(null, answer.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })))
    );
  };
  return { lookup, asked };
}

/** A port that nobody listens on. */
async function closedPort(t: TestContext): Promise<number> {
  const own = await ownPort();
  t.after(() => own[Symbol.dispose]());
  return own.port;
}

for (const [name, extra] of ADAPTERS) {
  const request = { headers: ["Host", "a", ...extra] };

  test(`${name}: a port that nobody listens on is refused`, async (t) => {
    const app = backendApp(`http://127.0.0.1:${await closedPort(t)}`);
    const { code, begun } = await failure(exchange(testBackends(t), app, request));
    assert.deepEqual([code, begun], ["backend_refused", false]);
  });

  test(`${name}: a body is not taken for begun when the connection is refused`, async (t) => {
    const app = backendApp(`http://127.0.0.1:${await closedPort(t)}`);
    const headers = ["Host", "a", "Content-Length", "3", ...extra];
    const got = exchange(testBackends(t), app, { method: "POST", headers }, "abc");
    const { code, begun } = await failure(got);
    assert.deepEqual([code, begun], ["backend_refused", false]);
  });

  test(`${name}: a name that does not exist`, async (t) => {
    const app = backendApp("http://no.invalid", { timeouts: PATIENT });
    const { code, begun } = await failure(exchange(testBackends(t), app, request));
    assert.deepEqual([code, begun], ["backend_dns_failed", false]);
  });

  test(`${name}: a name without addresses`, async (t) => {
    const backends = testBackends(t, { lookup: resolver([]).lookup });
    assert.equal(
      (await failure(exchange(backends, backendApp("http://a.test"), request))).code,
      "backend_dns_failed",
    );
  });

  test(`${name}: a resolver that never answers runs into the connect timeout`, async (t) => {
    const app = backendApp("http://a.test", { timeouts: SHORT });
    const got = exchange(testBackends(t, { lookup: () => {} }), app, request);
    const { code, begun } = await failure(got);
    assert.deepEqual([code, begun], ["backend_connect_timeout", false]);
  });

  test(`${name}: a host that answers no SYN runs into the connect timeout`, {
    skip: "Deno" in globalThis && "Deno's node:net has no backlog setting, the queue cannot be filled",
  }, async (t) => {
    const port = await fullListener(t);
    const app = backendApp(`http://127.0.0.1:${port}`, { timeouts: SHORT });
    const { code, begun } = await failure(exchange(testBackends(t), app, request));
    assert.deepEqual([code, begun], ["backend_connect_timeout", false]);
  });

  test(`${name}: an address outside the allow list is never connected to`, async (t) => {
    const backend = await rawBackend(t, ({ socket }) => socket.write(answerOk()));
    const backends = testBackends(t, { allow: new AllowList(["10.0.0.0/8", "*.corp.example"]) });
    const { code, begun } = await failure(exchange(backends, backendApp(backend.origin), request));
    assert.deepEqual([code, begun], ["backend_not_allowed", false]);
    assert.equal(backend.connections.length, 0);
  });

  test(`${name}: what resolves to a metadata address is refused even where its name is listed`, async (t) => {
    const { lookup } = resolver(["169.254.169.254"], ["::ffff:169.254.169.254"], ["fe80::1"]);
    const backends = testBackends(t, { lookup, allow: new AllowList(["a.test", "*"]) });
    for (let i = 0; i < 3; i++) {
      const { code } = await failure(exchange(backends, backendApp("http://a.test:9"), request));
      assert.equal(code, "backend_not_allowed");
    }
  });

  test(`${name}: a name that changes to a metadata address is refused at its next connection`, async (t) => {
    const backend = await rawBackend(t, ({ socket }) => socket.end(answerOk("ok", "Connection: close\r\n")));
    const { lookup, asked } = resolver(["127.0.0.1"], ["169.254.169.254"]);
    const backends = testBackends(t, { lookup });
    const app = backendApp(`http://a.test:${backend.port}`);
    await completed(exchange(backends, app, request));
    const { code, begun } = await failure(exchange(backends, app, request));
    assert.deepEqual([code, begun], ["backend_not_allowed", false]);
    assert.deepEqual(asked, ["a.test", "a.test"]);
    assert.equal(backend.connections.length, 1);
  });

  test(`${name}: of several addresses only the permitted are tried, and the next where one is dead`, async (t) => {
    const backend = await rawBackend(t, ({ socket }) => socket.write(answerOk()));
    const { lookup } = resolver(["169.254.169.254", "127.9.9.9", "127.0.0.1"]);
    const backends = testBackends(t, { lookup });
    await completed(exchange(backends, backendApp(`http://a.test:${backend.port}`), request));
    assert.equal(backend.connections.length, 1);
  });

  test(`${name}: an origin that is no origin`, async (t) => {
    for (const origin of ["ftp://a", "nonsense", "http://"]) {
      const { code, begun } = await failure(exchange(testBackends(t), backendApp(origin), request));
      assert.deepEqual([code, begun], ["backend_misconfigured", false]);
    }
  });

  test(`${name}: an IPv6 backend`, async (t) => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => {
      sockets.push(socket);
      socket.on("data", () => socket.write(answerOk()));
    });
    server.listen(0, "::1");
    const listening = await once(server, "listening").then(() => true, () => false);
    if (!listening) return t.skip("this machine has no IPv6 loopback");
    t.after(() => {
      sockets.forEach((socket) => socket.destroy());
      return new Promise<void>((resolve) => server.close(() => resolve()));
    });
    const { port } = server.address() as { port: number };
    const backends = testBackends(t, { allow: new AllowList([`[::1]:${port}`]) });
    assert.equal(
      (await completed(exchange(backends, backendApp(`http://[::1]:${port}`), request))).body,
      "ok",
    );
  });

  test(`${name}: a connection that the backend closes on request fails as begun, an idle one is replaced`, async (t) => {
    const backend = await rawBackend(t, ({ socket, head }) => {
      if (head.includes("/die")) socket.destroy();
      else socket.write(answerOk());
    });
    const backends = testBackends(t);
    const app = backendApp(backend.origin);
    await completed(exchange(backends, app, request));
    const { code, begun } = await failure(exchange(backends, app, { ...request, target: "/die" }));
    assert.deepEqual([code, begun], ["backend_reset", true]);
    await completed(exchange(backends, app, request));
    const live = backend.connections.filter((socket) => !socket.destroyed);
    const gone = Promise.all(live.map((socket) => once(socket, "close")));
    for (const socket of live) socket.end();
    await gone;
    await completed(exchange(backends, app, request));
  });
}

test("backends being closed give up connections being made", async (t) => {
  const asked = Promise.withResolvers<void>();
  const backends = testBackends(t, { lookup: () => asked.resolve() });
  const got = exchange(backends, backendApp("http://a.test"));
  await asked.promise;
  await backends.close();
  assert.equal((await failure(got)).code, "backend_closed");
});

/** A listener on a thread that is blocked, with its queue of connections full: the kernel drops what comes next. */
async function fullListener(t: { after(fn: () => Promise<void>): void }): Promise<number> {
  const worker = new Worker(
    `const { parentPort } = require("node:worker_threads");
     const server = require("node:net").createServer();
     server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
       parentPort.postMessage(server.address().port);
       // At once: not a single connection may be accepted.
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
     });`,
    { eval: true },
  );
  const [port] = await once(worker, "message") as [number];
  const fillers = Array.from({ length: 8 }, () => connect(port, "127.0.0.1").on("error", () => {}));
  t.after(async () => {
    fillers.forEach((socket) => socket.destroy());
    await worker.terminate();
  });
  await Promise.race(fillers.map((socket) => once(socket, "connect")));
  return port;
}
