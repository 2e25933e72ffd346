/** How waits grow: milliseconds. */
export interface BackoffShape {
  firstMs: number;
  capMs: number;
}

/**
 * Full jitter: a wait anywhere between nothing and the doubled bound, so that many who failed together do not come back
 * together. `attempt` counts failures from 0; `random` gives 0 up to 1.
 */
export function backoffMs(
  attempt: number,
  { firstMs, capMs }: BackoffShape,
  random: () => number = Math.random,
): number {
  return random() * Math.min(capMs, firstMs * 2 ** Math.min(attempt, 30));
}

/** So many milliseconds, give or take up to a `share` of them: for what many do again and again, and not at once. */
export function jittered(ms: number, share: number, random: () => number = Math.random): number {
  return ms * (1 - share + 2 * share * random());
}
