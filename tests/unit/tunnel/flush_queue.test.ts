import assert from "node:assert/strict";
import { test } from "node:test";
import { FlushQueue } from "../../../src/tunnel/flush_queue.ts";
import { turn } from "./wire.ts";

test("flush queue: flushes each once, in order, after the current callback", async () => {
  const queue = new FlushQueue();
  const flushed: number[] = [];
  for (const n of [1, 2, 3]) queue.add({ flush: () => flushed.push(n) });
  assert.deepEqual(flushed, []);
  await turn();
  assert.deepEqual(flushed, [1, 2, 3]);
  await turn();
  assert.deepEqual(flushed, [1, 2, 3]);
});

test("flush queue: what is added within a flush is flushed next, once", async () => {
  const queue = new FlushQueue();
  const flushed: string[] = [];
  const inner = { flush: () => flushed.push("inner") };
  const outer = { flush: () => (flushed.push("outer"), queue.add(inner)) };
  queue.add(outer);
  queue.add({ flush: () => flushed.push("last") });
  await turn();
  assert.deepEqual(flushed, ["outer", "last", "inner"]);
});
