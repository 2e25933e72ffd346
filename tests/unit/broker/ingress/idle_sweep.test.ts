import assert from "node:assert/strict";
import { test } from "node:test";
import { IdleSweep } from "../../../../src/broker/ingress/idle_sweep.ts";

/** A sweep on a clock of its own, and who has expired. */
function staged(): { sweep: IdleSweep; at: (ms: number) => string[]; expired: string[] } {
  let now = 0;
  const expired: string[] = [];
  const sweep = new IdleSweep(() => now);
  const at = (ms: number) => {
    now = ms;
    sweep.sweep();
    return expired;
  };
  return { sweep, at, expired };
}

test("IdleSweep: a connection expires once when nothing has passed for its own time, and not before", () => {
  const { sweep, at, expired } = staged();
  using _ = sweep;
  sweep.watch(1_000, () => expired.push("short"));
  sweep.watch(5_000, () => expired.push("long"));
  assert.deepEqual(at(999), []);
  assert.deepEqual(at(1_000), ["short"]);
  assert.deepEqual(at(4_999), ["short"]);
  assert.deepEqual(at(5_000), ["short", "long"]);
  assert.deepEqual(at(50_000), ["short", "long"]);
});

test("IdleSweep: whatever passes puts the end off by the whole time", () => {
  const { sweep, at, expired } = staged();
  using _ = sweep;
  const watch = sweep.watch(1_000, () => expired.push("one"))!;
  for (let ms = 500; ms <= 5_000; ms += 500) {
    watch.active = true;
    assert.deepEqual(at(ms), []);
  }
  assert.deepEqual(at(5_999), []);
  assert.deepEqual(at(6_000), ["one"]);
});

test("IdleSweep: a time of 0 watches nothing, a stopped watch never expires", () => {
  const { sweep, at, expired } = staged();
  using _ = sweep;
  assert.equal(sweep.watch(0, () => expired.push("never")), null);
  const watch = sweep.watch(1_000, () => expired.push("stopped"))!;
  watch.stop();
  watch.stop();
  assert.deepEqual(at(10_000), []);
});

test("IdleSweep: its timer runs by itself, and only while there is something to watch", async () => {
  using sweep = new IdleSweep();
  await new Promise<void>((resolve) => void sweep.watch(20, resolve));
  // What is left of it would keep this process from ending.
});

test("IdleSweep: time in which the process itself stood still counts for no connection", async () => {
  using sweep = new IdleSweep();
  let isOver = false;
  const over = new Promise<void>((resolve) => void sweep.watch(200, resolve)).then(() => isOver = true);
  const until = performance.now() + 400;
  while (performance.now() < until);
  // The timer, late by now, comes before this one.
  await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(isOver, false, "what came meanwhile is not read yet");
  await over;
});
