import { readlinkSync } from "node:fs";

/** Variable that tells a child which process of this very program started it. */
const PARENT_VARIABLE = "SALLYPORT_INTERNAL_PARENT_PID";

/**
 * True where this process is a `child_process.fork` (or `cluster` worker) of its own single executable. There
 * `process.execPath` is the application and not a runtime, so a fork starts the whole program again, which forks again,
 * without end. A channel alone is no proof: supervisors such as pm2 open one as well.
 */
export function isForkOfItself(): boolean {
  const parent = process.env[PARENT_VARIABLE];
  process.env[PARENT_VARIABLE] = String(process.pid);
  if (!isSingleExecutable() || process.send === undefined) return false;
  return parent === String(process.ppid) || sameExecutable(process.ppid);
}

/** Node and Deno each have their own way to tell, and neither knows the other's. */
function isSingleExecutable(): boolean {
  const { Deno } = globalThis as { Deno?: { build?: { standalone?: boolean } } };
  return Deno?.build?.standalone ?? process.getBuiltinModule("node:sea")?.isSea() ?? false;
}

function sameExecutable(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/exe`) === readlinkSync("/proc/self/exe");
  } catch {
    return false;
  }
}
