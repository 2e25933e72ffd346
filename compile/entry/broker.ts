/** Where the single executable begins: the guard first, then the program. */
import { isForkOfItself } from "../../src/platform/fork_guard.ts";

if (isForkOfItself()) {
  process.stderr.write("Cannot run as a fork of this program: it has no other module to run\n");
  process.exit(1);
}
await import("../../src/broker/main.ts");
