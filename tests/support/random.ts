import type { TestContext } from "node:test";

/** A seed for a test's random numbers, said in its output: `SALLYPORT_TEST_SEED` when that is set, else another each time. */
export function seedOf(t: TestContext): number {
  const seed = Number(process.env.SALLYPORT_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
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
