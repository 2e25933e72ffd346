/** Time in which an old observation loses all but 1/e of its weight, in milliseconds. */
const DECAY_MS = 10_000;

/**
 * A latency as it was lately: an exponentially weighted moving average that follows a rise at once and a fall slowly
 * ("peak EWMA"), so that who has become slow is avoided at once.
 */
export class PeakEwma {
  #ms: number;
  #at: number;

  /** The first observation: `ms` milliseconds, at `now`. */
  constructor(ms: number, now: number) {
    this.#ms = ms;
    this.#at = now;
  }

  /** Takes in an observation of `ms` milliseconds. */
  observe(ms: number, now: number): void {
    const weight = Math.exp(-Math.max(now - this.#at, 0) / DECAY_MS);
    this.#ms = ms > this.#ms ? ms : this.#ms * weight + ms * (1 - weight);
    this.#at = now;
  }

  /** Milliseconds expected at `now`: what was not seen for long is forgotten, so that it is tried again. */
  value(now: number): number {
    return this.#ms * Math.exp(-Math.max(now - this.#at, 0) / DECAY_MS);
  }
}
