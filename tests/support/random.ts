import type { TestContext } from "node:test";

/** `SALLYPORT_TEST_SEED`: with the same number, tests draw the same random inputs. */
export const SEED: number | undefined = process.env.SALLYPORT_TEST_SEED === undefined
  ? undefined
  : Number(process.env.SALLYPORT_TEST_SEED);

/** A seed for a test's random numbers, said in its output: the one that is asked for, else another each time. */
export function seedOf(t: TestContext): number {
  const seed = SEED ?? Math.floor(Math.random() * 2 ** 31);
  t.diagnostic(`SALLYPORT_TEST_SEED=${seed}`);
  return seed;
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
