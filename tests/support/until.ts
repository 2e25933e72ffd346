import { setTimeout as delay } from "node:timers/promises";

/** Between two looks, in milliseconds. */
const LOOK_MS = 20;

/**
 * Waits for what tells nobody of itself: looks again and again, with pauses, until something is there (not undefined,
 * not false), and gives it. Throws when it is not there in time.
 */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
  withinMs = 20_000,
): Promise<Exclude<T, undefined | false>> {
  const end = performance.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found as Exclude<T, undefined | false>;
    if (performance.now() > end) throw new Error(`Not within ${withinMs} ms: ${what}`);
    await delay(LOOK_MS);
  }
}
