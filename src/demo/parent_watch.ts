/**
 * Loaded into a program ahead of its own code (`--import`): asks it to stop when whoever started it is gone, however
 * that ended. The starter holds the other end of standard input and never writes to it, so its end is the starter's.
 * The one module that acts when imported: being loaded is its purpose.
 */
import process from "node:process";

const stop = () => process.kill(process.pid, "SIGTERM");

process.stdin.once("end", stop);
process.stdin.once("error", stop);
process.stdin.resume();
// Watching must not keep a program alive that has nothing else to do.
(process.stdin as unknown as { unref?: () => void }).unref?.();
