import fc from "fast-check";
import { SEED } from "./random.ts";

/** How many times as many inputs as usual are tried: `SALLYPORT_TEST_RUNS`, else 1. */
const TIMES = Number(process.env.SALLYPORT_TEST_RUNS ?? 1);

/** What fast-check tries of a property unless told otherwise. */
const USUAL_RUNS = 100;

/** `fc.assert` with the seed and the number of runs that the environment asks for; a failure says the seed and the smallest input. */
export function assertHolds<T>(property: fc.IAsyncProperty<T>, parameters?: fc.Parameters<T>): Promise<void>;
export function assertHolds<T>(property: fc.IProperty<T>, parameters?: fc.Parameters<T>): void;
export function assertHolds<T>(
  property: fc.IRawProperty<T>,
  parameters: fc.Parameters<T> = {},
): void | Promise<void> {
  return fc.assert(property, {
    ...(SEED === undefined ? {} : { seed: SEED }),
    ...parameters,
    numRuns: (parameters.numRuns ?? USUAL_RUNS) * TIMES,
  });
}
