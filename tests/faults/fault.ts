import type { Child } from "../../src/demo/child.ts";
import { NotInTime, until as untilThere } from "../support/until.ts";
import type { FaultStage, FaultStageOptions } from "./fault_stage.ts";
import type { OpenLoop, Shot, Summary } from "./open_loop.ts";

/** How much of a fault is shown: `full` for the table, `short` for the test suite. */
export type Extent = "full" | "short";

/** One fault and what it may cost. */
export interface Fault {
  name: string;
  /** What is done, for the reader of the table. */
  what: string;
  /** What it may cost, in words; `judge` holds it to that. */
  bar: string;
  stage: FaultStageOptions;
  /** Most requests a second that what is faulty can carry. */
  mostRate?: number;
  /** Times the rate of the others, in full extent. */
  rateTimes?: number;
  /** One request in so many is a POST. */
  postEvery?: number;
  /** Why this machine cannot bring it about; null when it can. */
  lacks?(): Promise<string | null>;
  /** What has to be there before the load begins. */
  before?(stage: FaultStage): Promise<void>;
  /** Brings the fault about, once or many times, while the load runs. Throws when it could not be brought about. */
  inject(stage: FaultStage, extent: Extent, load: OpenLoop): Promise<void>;
  /** What went beyond the bar, in words; empty when nothing did. */
  judge(summary: Summary, shots: readonly Shot[], stage: FaultStage): string[];
  /** What else was measured, in words. */
  note?(): string;
}

/** A fault was not brought about, or has not shown: what it cost says nothing. */
export class FaultNotInjected extends Error {
  readonly code = "fault_not_injected";
}

/** Waits until something holds, so many times the stage's patience; throws `FaultNotInjected` when it does not in time. */
export async function until(
  { patienceMs }: FaultStage,
  what: string,
  condition: () => Promise<boolean> | boolean,
  times = 1,
): Promise<void> {
  await untilThere(what, condition, { withinMs: patienceMs * times }).catch((cause) => {
    if (!(cause instanceof NotInTime)) throw cause;
    throw new FaultNotInjected(`Cannot inject fault: ${cause.message}`, { cause });
  });
}

/** Kills a program, under a steady load and right after `note`; throws `FaultNotInjected` when it does not die of that. */
export async function kill(stage: FaultStage, child: Child, note: () => void = () => {}): Promise<void> {
  await stage.calm();
  note();
  child.signal("SIGKILL");
  await until(stage, "it is dead", () => child.exit !== null);
}

/** True once the broker lists a tunnel of the connector. */
export async function isBack(stage: FaultStage, index: number): Promise<boolean> {
  return (await stage.tunnelsOf(index)).length > 0;
}

/** Judges: no GET failed. */
export function noFailedGets({ failedGets, outcomes }: Summary): string[] {
  return failedGets === 0 ? [] : [`${failedGets} failed GETs: ${JSON.stringify(outcomes)}`];
}

/** Judges: nothing failed. */
export function noFailures({ failedGets, failedPosts, outcomes }: Summary): string[] {
  return failedGets + failedPosts === 0 ? [] : [JSON.stringify(outcomes)];
}

/** Judges: no request took longer. */
export function noneSlowerThan(ms: number, { longestMs }: Summary, { slack }: FaultStage): string[] {
  return longestMs <= ms * slack ? [] : [`slowest request ${Math.round(longestMs)} ms, bar ${ms} ms`];
}

/** Judges: each time all was well again so soon after the fault was over. */
export function noneLaterThan(ms: number, { recoveries, slack }: FaultStage): string[] {
  const late = recoveries.filter((took) => took > ms * slack);
  return late.length === 0 ? [] : [`back after ${Math.round(Math.max(...late))} ms, bar ${ms} ms`];
}

/** Judges: the broker noticed so soon. */
export function detectedWithin(ms: number, { sightings, slack }: FaultStage): string[] {
  const { detectMs } = sightings;
  if (detectMs === null) return ["the broker did not notice"];
  return detectMs <= ms * slack ? [] : [`noticed after ${Math.round(detectMs)} ms, bar ${ms} ms`];
}

/** Throws `FaultNotInjected` unless the condition holds: what the fault was to show has not happened. */
export function mustHold(what: string, condition: boolean): void {
  if (!condition) throw new FaultNotInjected(`Fault has not shown: ${what}`);
}
