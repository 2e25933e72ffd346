import assert from "node:assert/strict";
import { test } from "node:test";
import { Resolver } from "../../src/connector/backend/resolver.ts";
import { backendApp, completed, exchange, failure, testBackends } from "../support/backend_exchange.ts";
import { answerOk, rawBackend } from "../support/raw_backend.ts";

test("names that nobody answers cost their own apps a time-out, and the others nothing", async (t) => {
  const backend = await rawBackend(t, ({ socket }) => socket.write(answerOk()));
  const asked: string[] = [];
  const resolver = new Resolver((name, _options, told) => {
    asked.push(name);
    if (name === "good.test") setImmediate(told, null, [{ address: "127.0.0.1", family: 4 }]);
  }, { most: 2, mostUnproven: 1 });
  const backends = testBackends(t, { lookup: resolver.lookup });
  const at = (name: string, connectMs: number) =>
    backendApp(`http://${name}:${backend.port}`, { id: name, timeouts: { connectMs } });
  const good = at("good.test", 30_000);
  await completed(exchange(backends, good));
  const dead = ["one", "two", "three"].flatMap((name) =>
    Array.from({ length: 20 }, () => exchange(backends, at(`${name}.gone.test`, 100)))
  );
  await new Promise((resolve) => setImmediate(resolve));
  // Another revision has connections of its own.
  await completed(exchange(backends, { ...good, revision: 2 }));
  for (const one of dead) {
    const { code, begun } = await failure(one);
    assert.deepEqual([code, begun], ["backend_connect_timeout", false]);
  }
  // One lookup for all requests of a name, and none for a name that nobody waited for any more.
  assert.deepEqual(asked, ["good.test", "one.gone.test", "good.test"]);
});
