/** A single executable with a stray fork in it, which the guard has to stop: built and run by the smoke test only. */
import { fork } from "node:child_process";
import { isForkOfItself } from "../../src/platform/fork_guard.ts";

if (isForkOfItself()) {
  process.stderr.write("Cannot run as a fork of this program: it has no other module to run\n");
  process.exit(1);
}
fork("module.js").on("exit", (code) => process.stdout.write(`fork ended ${code}\n`));
