import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { BackendRequest } from "../../src/connector/backend/port.ts";
import { backendApp, completed, exchange, failure, testBackends } from "../support/backend_exchange.ts";
import { randomFrom, seedOf } from "../support/random.ts";
import { answerOk, rawBackend, type RawRequest } from "../support/raw_backend.ts";

const ADAPTERS: [string, string[]][] = [["undici", []], ["node:http", ["Keep-Alive", "x"]]];
/** Node's own client sends nothing again by itself; Deno's does, and would a POST. */
const REPEATED_BY_DENO = "Deno's node:http client sends a request again by itself, whatever its method";
const REQUESTS = 2_000;
const AT_ONCE = 8;

/** Answers the first request of a connection; after that closes it by chance: with a request on it, or right behind a response. */
function fickle(random: () => number): { answer: (request: RawRequest) => void; closed: () => number } {
  const used = new Set<number>();
  let closed = 0;
  return {
    closed: () => closed,
    answer({ socket, connection }) {
      if (socket.writableEnded) return void (closed += 1); // It crossed the close.
      if (used.has(connection) && random() < 0.2) {
        closed += 1;
        return void (random() < 0.5 ? socket.destroy() : socket.resetAndDestroy());
      }
      used.add(connection);
      socket.write(answerOk());
      if (random() < 0.1) socket.end();
    },
  };
}

async function many(count: number, one: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (next < count) await one(next++);
  }));
}

for (const [name, extra] of ADAPTERS) {
  test(`${name}: a backend that closes used connections at random fails no idempotent request`, async (t) => {
    const seed = seedOf(t);
    const random = randomFrom(seed);
    const { answer, closed } = fickle(random);
    const backend = await rawBackend(t, answer);
    const backends = testBackends(t);
    const app = backendApp(backend.origin);
    const methods = ["GET", "OPTIONS", "DELETE"];
    await many(REQUESTS, async (i) => {
      const method = methods[i % 3]!;
      const got = await completed(exchange(backends, app, { method, headers: ["Host", "a", ...extra] }));
      assert.equal(got.status, 200);
    });
    assert.ok(closed() > REQUESTS / 50, `${closed()} connections closed under a request, seed ${seed}`);
    // Each close cost one more request to the backend, and no more than that.
    assert.equal(backend.requests.length, REQUESTS + closed());
  });

  test(`${name}: no POST reaches such a backend twice, and one that has begun says so`, {
    skip: name === "node:http" && "Deno" in globalThis && REPEATED_BY_DENO,
  }, async (t) => {
    const seed = seedOf(t);
    const { answer, closed } = fickle(randomFrom(seed));
    const backend = await rawBackend(t, answer);
    const backends = testBackends(t);
    const app = backendApp(backend.origin);
    let failed = 0;
    await many(REQUESTS, async (i) => {
      const headers = ["Host", "a", "X-Number", String(i), "Content-Length", "3", ...extra];
      const outcome = await exchange(backends, app, { method: "POST", headers }, "abc").outcome;
      if (!("code" in outcome)) return;
      failed += 1;
      assert.equal(outcome.code, "backend_reset");
      const seen = backend.requests.some(({ head }) => head.includes(`X-Number: ${i}\r\n`));
      if (seen) assert.equal(outcome.begun, true, `POST ${i} was seen, seed ${seed}`);
    });
    const numbers = backend.requests.map(({ head }) => /X-Number: ([0-9]+)/.exec(head)![1]);
    assert.equal(new Set(numbers).size, numbers.length, "no POST came twice");
    assert.ok(closed() > REQUESTS / 50);
    assert.ok(failed >= closed(), `${failed} failures tell of ${closed()} closes`);
  });

  test(`${name}: a fresh connection that is closed fails the request at once`, async (t) => {
    const backend = await rawBackend(t, ({ socket }) => socket.destroy());
    const got = exchange(testBackends(t), backendApp(backend.origin), { headers: ["Host", "a", ...extra] });
    const { code, begun } = await failure(got);
    assert.deepEqual([code, begun], ["backend_reset", true]);
    assert.equal(backend.requests.length, 1);
  });

  test(`${name}: a request is sent twice at most, and has begun even where the second could not connect`, async (t) => {
    let answers = 0;
    const backend = await rawBackend(t, ({ socket }) => {
      if (answers++ === 0) socket.write(answerOk());
      else socket.destroy();
    });
    const backends = testBackends(t);
    const app = backendApp(backend.origin);
    const request: Partial<BackendRequest> = { headers: ["Host", "a", ...extra] };
    await completed(exchange(backends, app, request));
    await setImmediate(); // For its connection to be free again.
    const { code, begun } = await failure(exchange(backends, app, request));
    assert.deepEqual([code, begun], ["backend_reset", true]);
    assert.equal(backend.requests.length, 3);
    assert.equal(backend.connections.length, 2);
  });

  test(`${name}: where a response has begun, nothing is sent again`, {
    skip: name === "node:http" && "Deno" in globalThis && REPEATED_BY_DENO,
  }, async (t) => {
    let answers = 0;
    const backend = await rawBackend(t, ({ socket }) => {
      if (answers++ === 0) socket.write(answerOk());
      else socket.write("HTTP/1.1 103 Early Hints\r\n\r\n", () => socket.destroy());
    });
    const backends = testBackends(t);
    const app = backendApp(backend.origin);
    const request: Partial<BackendRequest> = { headers: ["Host", "a", ...extra] };
    await completed(exchange(backends, app, request));
    await setImmediate();
    assert.equal((await failure(exchange(backends, app, request))).begun, true);
    assert.equal(backend.requests.length, 2);
  });
}
