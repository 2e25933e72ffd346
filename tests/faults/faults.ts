import { setTimeout as delay } from "node:timers/promises";
import { BACKEND_FAULTS } from "./backend_faults.ts";
import { CROWD_FAULTS } from "./crowd_faults.ts";
import type { Extent, Fault } from "./fault.ts";
import { FaultStage } from "./fault_stage.ts";
import { LINK_FAULTS } from "./link_faults.ts";
import { OpenLoop, summarise, type Summary } from "./open_loop.ts";
import { PROCESS_FAULTS } from "./process_faults.ts";
import { RESOURCE_FAULTS } from "./resource_faults.ts";
import { SOAK_FAULTS } from "./soak.ts";
import { STORE_FAULTS } from "./store_faults.ts";

/** All faults, in the order of the table. */
export const FAULTS: readonly Fault[] = [
  ...PROCESS_FAULTS,
  ...LINK_FAULTS,
  ...BACKEND_FAULTS,
  ...RESOURCE_FAULTS,
  ...STORE_FAULTS,
  ...CROWD_FAULTS,
  ...SOAK_FAULTS,
];

/** What a fault cost. */
export interface Verdict {
  fault: string;
  /** Requests a second. */
  rate: number;
  summary: Summary;
  /** From the fault until the broker noticed, and until all was well again, milliseconds; null: not seen. */
  detectMs: number | null;
  recoverMs: number | null;
  /** What else was measured. */
  note: string;
  beyond: string[];
}

const SETTLE_MS = 500;

/** Slack of the bars on times in short extent; in full extent there is none. */
const SHORT_SLACK = 3;

/**
 * Runs one fault under a steady load of `rate` requests a second, or what the fault says of that. `prepare` has the
 * stage before the fault is injected: for a test of the fault itself.
 */
export async function runFault(
  fault: Fault,
  rate: number,
  extent: Extent,
  prepare: (stage: FaultStage) => void = () => {},
): Promise<Verdict> {
  await using stage = await FaultStage.start(fault.stage);
  await fault.before?.(stage);
  const { mostRate = Number.POSITIVE_INFINITY, rateTimes = 1, postEvery } = fault;
  const itsRate = Math.min(extent === "full" ? rate * rateTimes : rate, mostRate);
  const load = new OpenLoop({ url: stage.url, rate: itsRate, postEvery, http2: stage.http2 });
  if (extent === "short") stage.slack = SHORT_SLACK;
  stage.calm = () => load.calm();
  prepare(stage);
  try {
    await delay(SETTLE_MS);
    await stage.calm();
    stage.sightings.mark();
    await fault.inject(stage, extent, load);
    await delay(SETTLE_MS);
  } finally {
    await load.stop();
  }
  const summary = summarise(load.shots);
  const beyond = fault.judge(summary, load.shots, stage);
  const posts = load.shots.filter(({ method }) => method === "POST").length;
  if ((stage.seen.POST ?? 0) > posts) {
    beyond.push(`the backend has seen ${stage.seen.POST} POSTs of ${posts}: one was sent twice`);
  }
  const { detectMs, recoverMs } = stage.sightings;
  const note = fault.note?.() ?? "";
  return { fault: fault.name, rate: itsRate, summary, detectMs, recoverMs, note, beyond };
}
