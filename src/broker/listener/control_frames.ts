/** How many frames a peer may have answered by us in a burst, and how many a second after that. */
const BURST = 1_000;
const PER_SECOND = 33;

/**
 * Bounds the PING and SETTINGS frames of one HTTP/2 session, each of which costs us an answer: what the HTTP/2 library does
 * for resets, with the same numbers.
 */
export class ControlFrames {
  #left = BURST;
  #since: number;

  /** `now`: milliseconds of a monotonic clock. */
  constructor(now: number) {
    this.#since = now;
  }

  /** Counts one frame. False: too many. */
  take(now: number): boolean {
    const earned = ((now - this.#since) / 1_000) * PER_SECOND;
    this.#left = Math.min(BURST, this.#left + earned) - 1;
    this.#since = now;
    return this.#left >= 0;
  }
}
