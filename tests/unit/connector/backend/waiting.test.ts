import assert from "node:assert/strict";
import { test } from "node:test";
import { Waiting, waitMsFor } from "../../../../src/connector/backend/waiting.ts";

test("Waiting gives its members up in the order of their coming, each once, and forgets those that left", async () => {
  const told: string[] = [];
  const last = Promise.withResolvers<void>();
  // Its own timer keeps no process alive.
  const alive = setInterval(() => {}, 1_000);
  using waiting = new Waiting<string>(5, (name) => {
    told.push(name);
    if (name === "c") last.resolve();
  });
  for (const name of ["a", "b", "c"]) waiting.add(name);
  waiting.delete("b");
  await last.promise;
  clearInterval(alive);
  assert.deepEqual(told, ["a", "c"]);
  assert.equal(waiting.size, 0);
});

test("Waiting hands out the first that came", () => {
  using waiting = new Waiting<string>(60_000, () => assert.fail());
  for (const name of ["a", "b", "c"]) waiting.add(name);
  waiting.delete("a");
  assert.deepEqual(waiting.all(), ["b", "c"]);
  assert.deepEqual([waiting.shift(), waiting.shift(), waiting.shift()], ["b", "c", null]);
});

test("the wait for a connection outlasts two steps of connecting", () => {
  assert.deepEqual([waitMsFor(1_000), waitMsFor(60_000), waitMsFor(0)], [30_000, 120_000, 150_000]);
});
