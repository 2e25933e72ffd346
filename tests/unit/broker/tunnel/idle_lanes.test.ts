import assert from "node:assert/strict";
import { test } from "node:test";
import { IdleLanes } from "../../../../src/broker/tunnel/idle_lanes.ts";
import type { Lane } from "../../../../src/tunnel/lane.ts";

class FakeLane {
  isIdle = true;
  retired = false;
  retire(): void {
    this.retired = true;
    this.isIdle = false;
  }
}

function filled(count: number): { idle: IdleLanes; lanes: FakeLane[] } {
  const idle = new IdleLanes();
  const lanes = Array.from({ length: count }, () => new FakeLane());
  for (const lane of lanes) idle.push(lane as unknown as Lane);
  return { idle, lanes };
}

test("the most recently used lane comes first, those that died are passed over", () => {
  const { idle, lanes } = filled(4);
  lanes[3]!.isIdle = false;
  lanes[1]!.isIdle = false;
  assert.equal(idle.pop(), lanes[2]);
  assert.equal(idle.pop(), lanes[0]);
  assert.equal(idle.pop(), undefined);
});

test("what a whole period did not need is retired, the least recently used first; 16 stay", () => {
  const { idle, lanes } = filled(100);
  assert.equal(idle.retireSurplus(0), 0, "the first look only begins a period");
  assert.equal(idle.retireSurplus(0), 84);
  assert.equal(idle.size, 16);
  assert.ok(lanes.slice(0, 84).every(({ retired }) => retired));
  assert.ok(lanes.slice(84).every(({ retired }) => !retired));
});

test("lanes that were needed within the period stay, and as many as are busy", () => {
  const { idle } = filled(100);
  idle.retireSurplus(0);
  const taken = Array.from({ length: 90 }, () => idle.pop()!);
  for (const lane of taken) idle.push(lane);
  assert.equal(idle.retireSurplus(0), 10);
  assert.equal(idle.retireSurplus(60), 30);
  assert.equal(idle.size, 60);
});

test("lanes that die idle do not pile up, however many", () => {
  const { idle, lanes } = filled(10);
  for (let i = 0; i < 1_000; i++) {
    const lane = new FakeLane();
    idle.push(lane as unknown as Lane);
    lane.isIdle = false;
    idle.died();
    assert.ok(idle.size < 60);
  }
  for (const lane of lanes.toReversed()) assert.equal(idle.pop(), lane);
  assert.equal(idle.pop(), undefined);
});
