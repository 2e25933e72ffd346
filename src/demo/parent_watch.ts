/**
 * Loaded into a program ahead of its own code (`--import`): asks it to stop when whoever started it is gone, however
 * that ended. The starter holds the other end of standard input and never writes to it, so its end is the starter's.
 * The one module that acts when imported: being loaded is its purpose.
 */
import process from "node:process";

/** How often Deno looks whether the starter is still there, milliseconds. */
const LOOK_MS = 500;

const stop = () => process.kill(process.pid, "SIGTERM");

if (process.versions.deno === undefined) {
  process.stdin.once("end", stop);
  process.stdin.once("error", stop);
  process.stdin.resume();
  // Watching must not keep a program alive that has nothing else to do.
  (process.stdin as unknown as { unref?: () => void }).unref?.();
} else {
  // Deno does not begin with the program before a read that was begun here has ended, and cannot unref it: there, the
  // starter's end shows in that another process takes its place.
  const starter = process.ppid;
  setInterval(() => {
    if (process.ppid !== starter) stop();
  }, LOOK_MS).unref();
}
