/** A fault that is not brought about must not pass for one that does no harm. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { FaultStage } from "../faults/fault_stage.ts";
import { FAULTS, runFault } from "../faults/faults.ts";

/** From now on nobody is stopped, killed or suspended, and the relays do nothing but relay; nobody waits long for that. */
function spare(stage: FaultStage): void {
  stage.patienceMs = 1_500;
  for (const { process, relay } of stage.connectors) {
    const { child } = process;
    const signal = child.signal.bind(child);
    child.signal = (name) => name === "SIGKILL" || name === "SIGSTOP" ? undefined : signal(name);
    process.stop = () => Promise.resolve();
    relay.reset = relay.halfClose = relay.silence = () => {};
    for (const way of ["up", "down"] as const) Object.defineProperty(relay, way, { value: {} });
  }
}

for (
  const [name, code, lastSaid] of [
    // The one that still runs keeps the state folder.
    ["graceful restart of one connector of two", "demo_program_exited", "state_in_use"],
    ["kill -9 of one connector of two", "fault_not_injected"],
    ["connection reset, one connector of two", "fault_not_injected"],
    ["2 Mbit/s each way, one connector of two", "fault_not_injected"],
  ] as const
) {
  const fault = FAULTS.find((one) => one.name === name)!;
  test(`not brought about, it fails: ${name}`, async () => {
    await assert.rejects(runFault(fault, 20, "short", spare), (error: Error & { code: string }) => {
      assert.equal(error.code, code);
      // Where a program has ended, the last line of its log says of what.
      if (lastSaid !== undefined) assert.match(error.message.split("\n").at(-1)!, new RegExp(lastSaid));
      return true;
    });
  });
}
