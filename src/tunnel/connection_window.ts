/** Smallest and largest connection window, bytes. */
export const MIN_CONNECTION_WINDOW = 512 * 1024;
export const MAX_CONNECTION_WINDOW = 64 * 1024 * 1024;

/** Time that bytes may always be in flight, milliseconds: on a short path the event loops, not the wire, take longest. */
const LEAST_IN_FLIGHT_MS = 20;
const KEPT_SAMPLES = 8;

/**
 * How many bytes the peer may have in flight on the whole connection: twice what the path holds (rate times round trip),
 * so that bulk runs at full speed and yet a short exchange never waits behind more than that. While the window itself is
 * the limit, each sample doubles it.
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
    // A path may become longer for good: an old minimum fades by a hundredth with each sample.
    this.#shortestMs = Math.min(this.#shortestMs * 1.01, roundTripMs);
    this.#rates.push(bytes / Math.max(roundTripMs, 0.1));
    if (this.#rates.length > KEPT_SAMPLES) this.#rates.shift();
    const wanted = Math.max(...this.#rates) * Math.max(2 * this.#shortestMs, LEAST_IN_FLIGHT_MS);
    this.#size = Math.round(Math.min(Math.max(wanted, MIN_CONNECTION_WINDOW), MAX_CONNECTION_WINDOW));
    return this.#size;
  }
}
