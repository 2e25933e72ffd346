import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ConnectionWindow,
  MAX_CONNECTION_WINDOW,
  MIN_CONNECTION_WINDOW,
} from "../../../src/tunnel/connection_window.ts";

const MIB = 1024 * 1024;

/** A path that lets `bytesPerMs` through, with this round trip; bulk flows. Gives the window after so many samples. */
function run(window: ConnectionWindow, bytesPerMs: number, roundTripMs: number, samples: number): number {
  for (let i = 0; i < samples; i++) {
    // What is in flight beyond what the path holds waits in a queue of it, and makes the round trip longer.
    const ms = Math.max(roundTripMs, window.size / bytesPerMs);
    window.sample(Math.min(window.size, bytesPerMs * ms), ms);
  }
  return window.size;
}

test("a window that is itself the limit grows with every sample, by half at least", () => {
  const window = new ConnectionWindow();
  window.sample(0, 100);
  for (let size = window.size; size < 16 * MIB; size = window.size) {
    window.sample(window.size, 100);
    assert.ok(window.size >= size * 1.5, `${size} grew to ${window.size}`);
  }
});

test("a path of 1 GB/s and 100 ms is filled, and the largest window is kept to", () => {
  const window = new ConnectionWindow();
  window.sample(0, 100);
  assert.equal(run(window, 1_000_000, 100, 20), MAX_CONNECTION_WINDOW);
});

test("a line of 2 MB/s and 20 ms stays at the smallest window, however long bulk flows", () => {
  const window = new ConnectionWindow();
  window.sample(0, 20);
  assert.equal(run(window, 2_000, 20, 1_000), MIN_CONNECTION_WINDOW);
  assert.equal(window.shortestRoundTripMs, 20);
});

test("a window shrinks again once the rate has", () => {
  const window = new ConnectionWindow();
  window.sample(0, 100);
  run(window, 100_000, 100, 20);
  assert.ok(window.size > 16 * MIB);
  for (let i = 0; i < 8; i++) window.sample(0, 100);
  assert.equal(window.size, MIN_CONNECTION_WINDOW);
});

test("a path that becomes longer for good is believed in quiet moments only", () => {
  const window = new ConnectionWindow();
  window.sample(0, 20);
  for (let i = 0; i < 100; i++) window.sample(MIB, 200);
  assert.equal(window.shortestRoundTripMs, 20);
  for (let i = 0; i < 20; i++) window.sample(100, 200);
  assert.equal(window.shortestRoundTripMs, 200);
});

test("a round trip of nothing does no harm", () => {
  const window = new ConnectionWindow();
  assert.ok(Number.isFinite(window.sample(100 * MIB, 0)));
  assert.ok(window.size >= MIN_CONNECTION_WINDOW && window.size <= MAX_CONNECTION_WINDOW);
});
