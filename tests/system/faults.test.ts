import assert from "node:assert/strict";
import { test } from "node:test";
import { FAULTS, runFault } from "../faults/faults.ts";

const RATE = 100;

/** The most telling ones, in short; `npm run test:faults` has all of them, at length. */
const TELLING: readonly string[] = [
  "graceful restart of one connector of two",
  "graceful restart of the only connector, with take-over",
  "kill -9 of one connector of two",
  "one tunnel of two black-holed",
  "backend refuses on one connector's side only",
  "graceful restart of the broker, with an inherited socket",
  "broker killed and started again",
  "corrupt byte towards the broker, one connector of two",
  "store locked by another process",
];

for (const telling of TELLING) {
  const fault = FAULTS.find(({ name }) => name === telling)!;
  test(`under ${RATE} requests a second: ${telling}`, async () => {
    const { summary, beyond } = await runFault(fault, RATE, "short");
    assert.deepEqual(beyond, []);
    assert.ok(summary.requests > RATE / 2, `${summary.requests} requests`);
  });
}
