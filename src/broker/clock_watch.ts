import { type Log, silentLog } from "../platform/log.ts";

/** How a clock is judged; all of it in milliseconds. */
export interface ClockWatchOptions {
  clock?: { now(): number };
  /** A clock that nobody sets. */
  monotonic?: { now(): number };
  /** A step that is a jump. */
  jumpMs?: number;
  /** Between the newest moment on record and a start: more is taken for a wrong clock at first. */
  gapMs?: number;
  /** How long a clock must go on steadily after a jump until it is believed. */
  holdMs?: number;
  log?: Log;
}

const DAY_MS = 86_400_000;

/**
 * Says whether the wall clock may be believed by what cannot be undone: a clock that is years ahead for an hour must not
 * cost the certificate authority or records. What waits has months to wait for.
 */
export class ClockWatch {
  readonly #clock: { now(): number };
  readonly #monotonic: { now(): number };
  readonly #jumpMs: number;
  readonly #gapMs: number;
  readonly #holdMs: number;
  readonly #log: Log;
  /** Between the two clocks, at the last look. */
  #offset: number;
  /** On the monotonic clock. */
  #believedFrom = -Infinity;

  constructor(options: ClockWatchOptions = {}) {
    this.#clock = options.clock ?? Date;
    this.#monotonic = options.monotonic ?? performance;
    this.#jumpMs = options.jumpMs ?? DAY_MS;
    this.#gapMs = options.gapMs ?? 90 * DAY_MS;
    this.#holdMs = options.holdMs ?? DAY_MS;
    this.#log = options.log ?? silentLog;
    this.#offset = this.#clock.now() - this.#monotonic.now();
  }

  /** Compares the clock with the newest moment on record, milliseconds since the epoch; null where there is none. */
  compare(newest: number | null): void {
    if (newest === null) return;
    const ms = this.#clock.now() - newest;
    if (Math.abs(ms) > this.#gapMs) this.#doubt(ms);
  }

  /** False for a time after the clock has jumped. To be asked now and then: only so is a jump told from many small steps. */
  isTrusted(): boolean {
    const offset = this.#clock.now() - this.#monotonic.now();
    const step = offset - this.#offset;
    this.#offset = offset;
    if (Math.abs(step) > this.#jumpMs) this.#doubt(step);
    return this.#monotonic.now() >= this.#believedFrom;
  }

  #doubt(ms: number): void {
    this.#believedFrom = this.#monotonic.now() + this.#holdMs;
    this.#log.warn(
      "The clock has jumped: the certificate authority is not changed and nothing is forgotten for a time",
      {
        byHours: Math.round(ms / 3_600_000),
        forHours: Math.round(this.#holdMs / 3_600_000),
      },
    );
  }
}
