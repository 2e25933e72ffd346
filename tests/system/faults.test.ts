import assert from "node:assert/strict";
import { test } from "node:test";
import { FAULTS, runFault } from "../faults/faults.ts";

const RATE = 100;

for (const fault of FAULTS) {
  test(`under ${RATE} requests a second: ${fault.name}`, async () => {
    const { summary, beyond } = await runFault(fault, RATE, "short");
    assert.deepEqual(beyond, []);
    assert.ok(summary.requests > RATE / 2, `${summary.requests} requests`);
  });
}
