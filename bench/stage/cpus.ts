import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { BenchError } from "../errors.ts";
import { processTree } from "../measure/process.ts";

/** The CPUs that this process may use, once it has been asked for them. */
let all: readonly number[] | null = null;

/**
 * The CPU of a step on the path from the load (0) to the backend: each step has another one than its neighbours. Null: there is
 * but one CPU.
 *
 * Who is next to one another on the path works at the same time, as on hosts of their own. Left to itself the scheduler of some
 * virtual machines packs processes that wake one another onto one CPU while another idles; what is measured then is that, and it
 * costs a path of two programs more than a path of one.
 */
export function cpuOf(step: number): number | null {
  all ??= allowed();
  return all.length < 2 ? null : all[step % all.length]!;
}

/**
 * Keeps the main thread of processes, and of their children, each on the CPU of its step: `path` is from the load (null: not
 * there yet) on. Threads beside it, such as those that collect garbage, run where there is room.
 */
export function spread(path: readonly (number | null)[]): void {
  for (const [step, pid] of path.entries()) {
    const cpu = cpuOf(step);
    if (pid !== null && cpu !== null) keepOn(pid, String(cpu));
  }
}

/** Lets processes, with their children, run everywhere again. */
export function release(pids: Iterable<number>): void {
  if (cpuOf(0) === null) return;
  for (const pid of pids) keepOn(pid, all!.join());
}

function keepOn(pid: number, cpus: string): void {
  for (const one of processTree(pid)) {
    const { status, stderr } = spawnSync("taskset", ["-cp", cpus, String(one)], { encoding: "utf8" });
    if (status !== 0) throw new BenchError(`Cannot keep process ${one} on CPU ${cpus}: ${stderr.trim()}`);
  }
}

function allowed(): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync("/proc/self/status", "utf8"))![1]!;
  return list.split(",").flatMap((range) => {
    const [first, last = first] = range.split("-").map(Number) as [number, number?];
    return Array.from({ length: last! - first + 1 }, (_, i) => first + i);
  });
}
