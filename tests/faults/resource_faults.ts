import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { type Fault, isBack, kill, mustHold, noFailedGets, until } from "./fault.ts";
import { fill, lacksMount, smallDisk } from "./small_disk.ts";

const run = promisify(execFile);
/** Numbers of descriptors below this are those of the standard streams. */
const LEAST = 3;

async function lacksLimits(): Promise<string | null> {
  if (process.platform !== "linux") return "only Linux changes limits of a running process";
  return await run("prlimit", ["--version"]).then(() => null, () => "there is no prlimit");
}

/** Number of descriptors that a process has open. */
export async function descriptorsOf(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length;
}

/**
 * Leaves a process so many descriptors beside those it has; `none`: also those that it gives back are of no use to it.
 * `lift` takes the limit away.
 */
async function limit(
  pid: number,
  left: number | "none",
): Promise<{ most: number; lift: () => Promise<void> }> {
  const before = await run("prlimit", [
    "--pid",
    `${pid}`,
    "--nofile",
    "--raw",
    "--noheadings",
    "--output",
    "SOFT",
  ]);
  const most = left === "none" ? LEAST : await descriptorsOf(pid) + left;
  await run("prlimit", ["--pid", `${pid}`, `--nofile=${most}:`]);
  const lift = async () =>
    void await run("prlimit", ["--pid", `${pid}`, `--nofile=${before.stdout.trim()}:`]);
  return { most, lift };
}

/** Programs that run out of descriptors or of disk. */
export const RESOURCE_FAULTS: readonly Fault[] = [
  {
    name: "one connector of two out of file descriptors",
    what: "it can open no descriptor any more, and its idle connections to the backend are cut, for 10 s",
    bar: "0 failed GETs; the process lives on",
    lacks: lacksLimits,
    stage: { connectors: 2 },
    async inject(stage, extent) {
      const { child } = stage.connectors[0]!.process;
      const { lift } = await limit(child.pid, "none");
      const end = performance.now() + (extent === "full" ? 10_000 : 2_000);
      while (performance.now() < end) {
        stage.cutBackend();
        await delay(250);
      }
      await lift();
      mustHold("it ran out", child.lastLog.some((line) => line.includes("connector_exhausted")));
      mustHold("it lives on", child.exit === null);
      await until(stage, "the connector is back", () => isBack(stage, 0));
    },
    judge: noFailedGets,
  },
  {
    name: "broker out of file descriptors",
    what: "its limit is set to 5 more than it has open, and 50 connections of users come, for 10 s",
    bar: "the process lives on; 0 failures of requests that come 1 s after it has descriptors again",
    lacks: lacksLimits,
    stage: { connectors: 2 },
    async inject(stage, extent, load) {
      const { child, listeners } = stage.broker;
      const { most, lift } = await limit(child.pid, 5);
      const sockets: Socket[] = [];
      for (let i = 0; i < 50; i++) {
        sockets.push(connect({ host: "127.0.0.1", port: listeners.plain.port }).on("error", () => {}));
      }
      await until(stage, "no descriptor is left", async () => await descriptorsOf(child.pid) >= most);
      await delay(extent === "full" ? 10_000 : 2_000);
      for (const socket of sockets) socket.destroy();
      await lift();
      stage.downUntilMs = load.nowMs;
      mustHold("it lives on", child.exit === null);
      await delay(3_000);
    },
    judge(_summary, shots, { downUntilMs }) {
      const late = shots.filter(({ dueMs, outcome }) => dueMs > downUntilMs + 1_000 && outcome !== 200);
      return late.length === 0 ? [] : [`${late.length} failed afterwards: ${late[0]!.outcome}`];
    },
  },
  {
    name: "disk of one connector's state full",
    what: "its state folder's file system is full; it is killed and started again there",
    bar: "0 failures of GETs; the connector serves",
    lacks: lacksMount,
    stage: { connectors: 2, stateDir: (stage, index) => smallDisk(stage, `state-${index}`, 1) },
    async inject(stage, extent) {
      const free = await fill(stage.connectors[0]!.process.stateDir);
      await delay(extent === "full" ? 10_000 : 500);
      await kill(stage, stage.connectors[0]!.process.child);
      await stage.startAgain(0);
      await until(stage, "the connector is back", () => isBack(stage, 0));
      await free();
    },
    judge: noFailedGets,
  },
];
