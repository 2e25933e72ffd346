import { setTimeout as delay } from "node:timers/promises";

/** Between two looks, in milliseconds. */
const LOOK_MS = 10;

/** The longest that tests wait for anything, in milliseconds: generous, for a busy machine, and less than the runner's limit. */
const WAIT_MS = 60_000;

/** What was waited for has not come in time. */
export class NotInTime extends Error {
  readonly code = "not_in_time";

  constructor(what: string, withinMs: number, more = "") {
    super(`Cannot go on: waited ${withinMs} ms until ${what}${more === "" ? "" : `\n${more}`}`);
  }
}

/**
 * Waits for what tells nobody of itself: looks again and again, with pauses, until something is there (not undefined,
 * not false), and gives it. Throws `NotInTime` when it is not there in time, with what `more` has to say then.
 */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
  { withinMs = WAIT_MS, more }: { withinMs?: number; more?: () => string } = {},
): Promise<Exclude<T, undefined | false>> {
  const end = performance.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found as Exclude<T, undefined | false>;
    if (performance.now() > end) throw new NotInTime(what, withinMs, more?.());
    await delay(LOOK_MS);
  }
}

/** What a promise gives; throws `NotInTime` when it has not come in time, with what `more` has to say then. */
export async function inTime<T>(what: string, promise: Promise<T>, more?: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new NotInTime(what, WAIT_MS, more?.())), WAIT_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
