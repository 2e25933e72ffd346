/** Smallest and largest connection window, bytes. */
export const MIN_CONNECTION_WINDOW = 512 * 1024;
export const MAX_CONNECTION_WINDOW = 64 * 1024 * 1024;

/** Time that bytes may always be in flight, milliseconds: on a short path the event loops, not the wire, take longest. */
const LEAST_IN_FLIGHT_MS = 20;
/**
 * How much more than the measured rate times the round trip. HTTP/2 gives a window back in halves, so that a sample may
 * show only half of what the window let through; with three the window still grows by half each time it is the limit.
 */
const HEADROOM = 3;
const KEPT_SAMPLES = 8;
/** A round trip during which fewer bytes came shows the path itself, without a queue of our own. */
const QUIET_BYTES = 64 * 1024;
/** How much longer a quiet round trip may make the shortest one at a time. */
const LONGER_BY = 1.25;

/**
 * How many bytes the peer may have in flight on the whole connection: a few times what the path holds (rate times round trip),
 * so that bulk runs at full speed and yet a short exchange never waits behind more than that. While the window itself is
 * the limit, it grows with each sample.
 */
export class ConnectionWindow {
  readonly #rates: number[] = [];
  #shortestMs = Number.POSITIVE_INFINITY;
  #size = MIN_CONNECTION_WINDOW;

  /** The window now, bytes. */
  get size(): number {
    return this.#size;
  }

  /** Shortest round trip seen, milliseconds; infinite before the first sample. */
  get shortestRoundTripMs(): number {
    return this.#shortestMs;
  }

  /** Takes one measurement - bytes that arrived during one round trip of so many milliseconds - and gives the new size. */
  sample(bytes: number, roundTripMs: number): number {
    // A path may become longer for good, but only a quiet moment can tell: under load it is our own queue that grows.
    const mayGrow = bytes < QUIET_BYTES ? LONGER_BY : 1;
    this.#shortestMs = Math.min(this.#shortestMs * mayGrow, roundTripMs);
    this.#rates.push(bytes / Math.max(roundTripMs, 0.1));
    if (this.#rates.length > KEPT_SAMPLES) this.#rates.shift();
    const wanted = Math.max(...this.#rates) * Math.max(HEADROOM * this.#shortestMs, LEAST_IN_FLIGHT_MS);
    this.#size = Math.round(Math.min(Math.max(wanted, MIN_CONNECTION_WINDOW), MAX_CONNECTION_WINDOW));
    return this.#size;
  }
}
