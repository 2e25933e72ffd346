import { readFileSync, writeFileSync } from "node:fs";

/** Resident memory of a process, in bytes. Linux only. */
export function rssBytes(pid: number): number {
  return field(pid, "VmRSS");
}

/** The most that it was since {@linkcode resetPeakRss}, in bytes. */
export function peakRssBytes(pid: number): number {
  return field(pid, "VmHWM");
}

/** Forgets the peak so far; the resident memory now, in bytes. */
export function resetPeakRss(pid: number): number {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
  return rssBytes(pid);
}

function field(pid: number, name: string): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) * 1024;
}
