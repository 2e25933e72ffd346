import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Pace } from "../../../src/tunnel/pace.ts";

test("pace: as many pieces of work as are allowed begin in a turn, the others in order in the turns that follow", async () => {
  const pace = new Pace(2);
  const begun: number[] = [];
  for (let i = 0; i < 7; i++) {
    if (pace.mayBegin()) begun.push(i);
    else pace.later(() => begun.push(i));
  }
  const seen: number[] = [];
  while (begun.length < 7) {
    seen.push(begun.length);
    await turn();
  }
  assert.deepEqual(begun, [0, 1, 2, 3, 4, 5, 6]);
  assert.ok(seen.includes(2) && seen.includes(4) && seen.includes(6), `after each turn: ${seen}`);
});

test("pace: what comes while others wait does not overtake them", async () => {
  const pace = new Pace(1);
  assert.equal(pace.mayBegin(), true);
  const begun: string[] = [];
  pace.later(() => begun.push("first"));
  assert.equal(pace.mayBegin(), false);
  pace.later(() => begun.push("second"));
  await turn();
  await turn();
  await turn();
  assert.deepEqual(begun, ["first", "second"]);
});

test("pace: after a turn without work all of it is free again", async () => {
  const pace = new Pace(1);
  for (let i = 0; i < 3; i++) {
    assert.equal(pace.mayBegin(), true);
    await turn();
    await turn();
  }
});
