import assert from "node:assert/strict";
import { test } from "node:test";
import { LaneSupply } from "../../../src/connector/lane_supply.ts";
import { FakeTimers } from "../tunnel/fake_timers.ts";

function supply(most = 1_000) {
  const opened = { count: 0 };
  const lanes = new LaneSupply(most, () => opened.count += 1);
  return { lanes, opened };
}

test("16 lanes at the start", () => {
  const { lanes, opened } = supply();
  assert.equal(opened.count, 0);
  lanes.start();
  assert.deepEqual([opened.count, lanes.idle, lanes.busy], [16, 16, 0]);
});

test("at least 8 stay idle, and each shortage opens half of what is busy besides", () => {
  const { lanes, opened } = supply();
  lanes.start();
  for (let i = 0; i < 8; i++) lanes.busied();
  assert.equal(opened.count, 16, "8 are idle still");
  lanes.busied();
  assert.deepEqual([opened.count, lanes.idle, lanes.busy], [16 + 1 + 4, 12, 9]);
  for (let i = 0; i < 500; i++) {
    lanes.busied();
    assert.ok(lanes.idle >= 8);
  }
});

test("lanes that come back are used again", () => {
  const { lanes, opened } = supply();
  lanes.start();
  for (let i = 0; i < 1_000; i++) {
    lanes.busied();
    lanes.idled();
  }
  assert.deepEqual([opened.count, lanes.idle, lanes.busy], [16, 16, 0]);
});

test("what the broker asks for is opened at once, up to the limit", () => {
  const { lanes, opened } = supply(100);
  lanes.start();
  lanes.add(50);
  assert.equal(opened.count, 66);
  lanes.add(5_000);
  assert.deepEqual([opened.count, lanes.idle], [100, 100]);
  for (let i = 0; i < 100; i++) lanes.busied();
  assert.deepEqual([opened.count, lanes.idle, lanes.busy], [100, 0, 100]);
});

test("lanes that are retired are replaced only below 8", () => {
  const { lanes, opened } = supply();
  lanes.start();
  for (let i = 0; i < 8; i++) lanes.closed(true, false);
  assert.deepEqual([opened.count, lanes.idle], [16, 8]);
  lanes.closed(true, false);
  assert.deepEqual([opened.count, lanes.idle], [17, 8]);
});

test("lanes that fail are replaced after a moment, all at once", () => {
  using timers = new FakeTimers();
  const { lanes, opened } = supply();
  lanes.start();
  for (let i = 0; i < 16; i++) lanes.closed(true, true);
  assert.deepEqual([opened.count, lanes.idle], [16, 0]);
  timers.advance(49);
  assert.equal(opened.count, 16);
  timers.advance(1);
  assert.deepEqual([opened.count, lanes.idle], [24, 8]);
});

test("a busy lane that is lost counts as busy no more", () => {
  const { lanes } = supply();
  lanes.start();
  lanes.busied();
  lanes.closed(false, false);
  assert.deepEqual([lanes.idle, lanes.busy], [15, 0]);
});

test("once stopped, none is opened any more, not by the timer either", () => {
  using timers = new FakeTimers();
  const { lanes, opened } = supply();
  lanes.start();
  for (let i = 0; i < 16; i++) lanes.closed(true, true);
  lanes[Symbol.dispose]();
  timers.advance(1_000);
  lanes.add(10);
  lanes.closed(true, false);
  assert.equal(opened.count, 16);
});
