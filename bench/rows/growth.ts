import type { Bar } from "../row.ts";
import { atMost } from "../row.ts";

/** The most that memory may grow from the first tenth of the work to its end. */
const GROWTH_PERCENT = 20;

/** Bars on how much the memory of each process grew, from `early` to `late`, both in MB. */
export function growthBars(
  early: Readonly<Record<string, number>>,
  late: Readonly<Record<string, number>>,
): Bar[] {
  return Object.keys(late).map((name) => {
    const percent = (late[name] / early[name] - 1) * 100;
    return atMost(`growth of the ${name} after the first tenth`, percent, GROWTH_PERCENT, "%");
  });
}
