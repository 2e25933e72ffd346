import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { type Fault, isBack, noFailures, until } from "./fault.ts";
import type { FaultStage } from "./fault_stage.ts";
import { descriptorsOf } from "./resource_faults.ts";

const DURATION_MS = { full: 20 * 60_000, short: 20_000 };
const CHURN_EVERY_MS = 5_000;
/** Growth of the resident set that is taken for noise, and by which it may grow. */
const FLAT = 0.1;
/** Descriptors that may come and go: connections to the backend, and of the admin API. */
const SPARE_DESCRIPTORS = 40;

async function residentMib(pid: number): Promise<number> {
  return Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, "utf8"))![1]) / 1_024;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}

/** One round of what administrators and machines do all day. */
async function churn(stage: FaultStage, round: number): Promise<void> {
  const { admin } = stage.broker;
  const group = await admin.request("POST", "groups", { name: `Round ${round}` }) as { id: string };
  const id = await admin.publish({
    name: `Round ${round}`,
    externalUrl: `${stage.url}round-${round}/`,
    internalUrl: stage.backendUrl,
    settings: { groupId: group.id },
  });
  await stage.connectors[1]!.process.stop();
  await stage.startAgain(1);
  await until(stage, "the connector is back", () => isBack(stage, 1));
  await admin.request("DELETE", `apps/${id}`);
  await admin.request("DELETE", `groups/${group.id}`);
}

function soak(): Fault {
  let beyond: string[] = [];
  let note = "";
  return {
    name: "24 h soak, scaled",
    what:
      "a steady load while one of two connectors is restarted, and a group and an app come and go, every 5 s",
    bar: "0 failures; resident memory flat within 10 % after the first quarter; no descriptor leaked",
    lacks: () => Promise.resolve(process.platform === "linux" ? null : "only Linux has /proc"),
    stage: { connectors: 2 },
    rateTimes: 4,
    postEvery: 10,
    async inject(stage, extent) {
      const pids = { broker: stage.broker.child.pid, connector: stage.connectors[0]!.process.child.pid };
      const durationMs = Number(process.env.FAULT_SOAK_MS ?? DURATION_MS[extent]);
      const samples: Record<keyof typeof pids, number[]> = { broker: [], connector: [] };
      const descriptors = { broker: 0, connector: 0 };
      const begun = performance.now();
      for (let round = 0; performance.now() - begun < durationMs; round++) {
        const next = delay(CHURN_EVERY_MS);
        await churn(stage, round);
        for (const who of ["broker", "connector"] as const) {
          samples[who].push(await residentMib(pids[who]));
          if (round === 0) descriptors[who] = await descriptorsOf(pids[who]);
        }
        await next;
      }
      beyond = [];
      const words: string[] = [];
      for (const who of ["broker", "connector"] as const) {
        const rest = samples[who].slice(samples[who].length >> 2);
        const [early, late] = [median(rest.slice(0, rest.length / 3)), median(rest.slice(-rest.length / 3))];
        const now = await descriptorsOf(pids[who]);
        words.push(
          `${who} ${early.toFixed(0)} to ${late.toFixed(0)} MiB, ${descriptors[who]} to ${now} descriptors`,
        );
        // A heap that is seconds old still grows to its working size.
        if (extent === "full" && late > early * (1 + FLAT)) beyond.push(`${who} has grown`);
        if (now > descriptors[who] + SPARE_DESCRIPTORS) beyond.push(`${who} has ${now} descriptors`);
      }
      note = words.join("; ");
    },
    judge: (summary) => [...noFailures(summary), ...beyond],
    note: () => note,
  };
}

/** A day, scaled. */
export const SOAK_FAULTS: readonly Fault[] = [soak()];
