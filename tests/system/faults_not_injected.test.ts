/** A fault that is not brought about must not pass for one that does no harm. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PATIENCE } from "../faults/fault.ts";
import type { FaultStage } from "../faults/fault_stage.ts";
import { FAULTS, runFault } from "../faults/faults.ts";

PATIENCE.ms = 1_500;

/** From now on nobody is stopped, killed or suspended, and the relays do nothing but relay. */
function spare({ connectors }: FaultStage): void {
  for (const { process, relay } of connectors) {
    const { child } = process;
    const signal = child.signal.bind(child);
    child.signal = (name) => name === "SIGKILL" || name === "SIGSTOP" ? undefined : signal(name);
    process.stop = () => Promise.resolve();
    relay.reset = relay.halfClose = relay.silence = () => {};
    for (const way of ["up", "down"] as const) Object.defineProperty(relay, way, { value: {} });
  }
}

for (
  const name of [
    "graceful restart of one connector of two",
    "kill -9 of one connector of two",
    "connection reset, one connector of two",
    "2 Mbit/s each way, one connector of two",
  ]
) {
  const fault = FAULTS.find((one) => one.name === name)!;
  test(`not brought about, it fails: ${name}`, async () => {
    await assert.rejects(runFault(fault, 20, "short", spare), /inject|shown|connector/);
  });
}
