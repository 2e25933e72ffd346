import assert from "node:assert/strict";
import { test } from "node:test";
import { backoffMs, jittered } from "../../../src/platform/backoff.ts";

const shape = { firstMs: 250, capMs: 20_000 };
const longest = (attempt: number) => backoffMs(attempt, shape, () => 1);

test("the bound of a wait doubles from the first to the cap", () => {
  assert.deepEqual([0, 1, 2, 3, 6, 7, 8].map(longest), [250, 500, 1_000, 2_000, 16_000, 20_000, 20_000]);
});

test("attempts without end stay at the cap", () => {
  assert.equal(longest(1_000), 20_000);
  assert.equal(longest(Number.MAX_SAFE_INTEGER), 20_000);
});

test("a wait is anywhere between nothing and its bound", () => {
  assert.equal(backoffMs(3, shape, () => 0), 0);
  assert.equal(backoffMs(3, shape, () => 0.25), 500);
  for (let i = 0; i < 1_000; i++) {
    const wait = backoffMs(3, shape);
    assert.ok(wait >= 0 && wait < 2_000, String(wait));
  }
});

test("what is done again and again is jittered by a share of its time, both ways", () => {
  assert.deepEqual([0, 0.25, 0.5, 1].map((at) => Math.round(jittered(1_000, 0.2, () => at))), [
    800,
    900,
    1_000,
    1_200,
  ]);
});
