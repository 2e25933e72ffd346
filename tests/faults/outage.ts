import { kill } from "./fault.ts";
import type { FaultStage } from "./fault_stage.ts";
import type { OpenLoop, Shot } from "./open_loop.ts";

/** Kills the broker and starts another on the same ports; the stage knows then for how long there was none. */
export async function killBroker(stage: FaultStage, load: OpenLoop): Promise<void> {
  await kill(stage, stage.broker.child, () => {
    stage.downFromMs = load.nowMs;
    stage.sightings.mark();
  });
  await stage.startBrokerAgain();
  stage.downUntilMs = load.nowMs;
}

/**
 * Judges: nothing failed while there was a broker. Whoever was in flight at the end of the old one, for a second at most, may fail;
 * whoever comes after the start of the new one waits for a connector, not in vain.
 */
export function noneFailedBesideOutage(
  shots: readonly Shot[],
  { downFromMs, downUntilMs }: FaultStage,
): string[] {
  const failed = shots.filter(({ dueMs, tookMs, outcome }) =>
    (dueMs + tookMs < downFromMs || dueMs < downFromMs - 1_000 || isAfterOutage(dueMs, downUntilMs)) &&
    outcome !== 200
  );
  if (failed.length === 0) return [];
  return [`${failed.length} failed outside of the time without a broker: ${failed[0]!.outcome}`];
}

/** True for a request that was due once the new broker listened. */
export function isAfterOutage(dueMs: number, downUntilMs: number): boolean {
  return dueMs > downUntilMs + 100;
}
