import { readFileSync } from "node:fs";

/** Clock ticks a second of `/proc/PID/stat`: 100 on every Linux that matters. */
const TICKS = 100;

/** A process with all its children, theirs included, as long as they live. */
export function processTree(pid: number): number[] {
  const children = read(`/proc/${pid}/task/${pid}/children`).split(" ").filter(Boolean).map(Number);
  return [pid, ...children.flatMap(processTree)];
}

/** CPU time that a process and its living children have used, user and system, in microseconds. */
export function cpuMicros(pid: number): number {
  let ticks = 0;
  for (const one of processTree(pid)) {
    // The second field is the name in parentheses and may hold anything; utime and stime are 12 and 13 after it.
    const stat = read(`/proc/${one}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields.length > 12) ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks * 1e6 / TICKS;
}

/** Resident memory of a process and its living children, in MB (1e6 bytes). */
export function rssMb(pid: number): number {
  let kib = 0;
  for (const one of processTree(pid)) {
    kib += Number(/^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${one}/status`))?.[1] ?? 0);
  }
  return kib * 1024 / 1e6;
}

/** A file of `/proc`; empty when its process is gone. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
