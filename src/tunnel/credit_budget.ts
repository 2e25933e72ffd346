import { INITIAL_CREDIT, MAX_CREDIT } from "../protocol/limits.ts";

/** An exchange that has passed on this much is read by its reader, and not just by the buffers of a kernel. */
const PROVEN_BYTES = 4 * 1024 * 1024;

/**
 * How many bytes all peers together may have been granted and this process not yet passed on. The first
 * `INITIAL_CREDIT` of every exchange is always given; growth beyond it comes out of what is free, and no exchange may
 * take more than a quarter of that. Half of all is kept for exchanges that have proven to have a reader: thousands whose
 * first bytes only fill kernel buffers cannot take it from one that keeps up.
 */
export class CreditBudget {
  readonly limit: number;
  #used = 0;

  /** `limit` in bytes. */
  constructor(limit: number) {
    this.limit = limit;
  }

  /** Bytes granted and unread now. */
  get used(): number {
    return this.#used;
  }

  /** An exchange begins to receive with its first credit, or something read is kept elsewhere. */
  take(bytes: number): void {
    this.#used += bytes;
  }

  /** What was taken is no longer held. */
  give(bytes: number): void {
    this.#used -= bytes;
  }

  /**
   * The window that an exchange with this one may have next: twice as large and taken, or the same. `passedOn` is all
   * that the exchange has had so far, bytes.
   */
  grow(window: number, passedOn: number): number {
    const free = (passedOn < PROVEN_BYTES ? this.limit / 2 : this.limit) - this.#used;
    if (window >= MAX_CREDIT || window * 4 > free) return window;
    this.#used += window;
    return window * 2;
  }
}

/** Smallest grant, so that what fits into the first credit twice over costs one credit frame at most. */
const LEAST_GRANT = INITIAL_CREDIT / 2;
/** What two event loops may add to a round trip, milliseconds. */
const EVENT_LOOPS_MS = 20;
/** Parts in which a large window is given back. */
const GRANTS_PER_WINDOW = 8;

/** What one direction of an exchange may send us: granted bytes, and how fast they are used. Reused from exchange to exchange. */
export class Inflow {
  readonly #budget: CreditBudget;
  #window = 0;
  /** Granted and not yet arrived. */
  #outstanding = 0;
  /** Arrived and not yet passed on. */
  #unread = 0;
  /** Passed on since the window was last measured against the round trip, and when that was. */
  #drained = 0;
  #passedOn = 0;
  #measuredAt = 0;

  constructor(budget: CreditBudget) {
    this.#budget = budget;
  }

  /** A new exchange begins to receive; `now` in milliseconds. */
  open(now: number): void {
    this.#window = INITIAL_CREDIT;
    this.#outstanding = INITIAL_CREDIT;
    this.#unread = 0;
    this.#drained = 0;
    this.#passedOn = 0;
    this.#measuredAt = now;
    this.#budget.take(INITIAL_CREDIT);
  }

  /** Bytes arrived. False: more than was granted. */
  arrived(bytes: number): boolean {
    this.#outstanding -= bytes;
    this.#unread += bytes;
    return this.#outstanding >= 0;
  }

  /**
   * Bytes were passed on (more than arrived count for nothing); returns how many more to grant, mostly 0. The window
   * doubles when half of it was drained within two round trips: then it, and not the reader, is what limits the sender.
   * Grants are small parts of a large window, so that the sender does not wait a round trip between two halves of it.
   */
  consumed(bytes: number, now: number, roundTripMs: number): number {
    this.#unread -= Math.min(bytes, this.#unread);
    this.#drained += bytes;
    this.#passedOn += bytes;
    if (this.#drained * 2 >= this.#window) {
      if (now - this.#measuredAt <= 2 * roundTripMs + EVENT_LOOPS_MS) {
        this.#window = this.#budget.grow(this.#window, this.#passedOn);
      }
      this.#drained = 0;
      this.#measuredAt = now;
    }
    const grant = this.#window - this.#outstanding - this.#unread;
    if (grant < LEAST_GRANT || grant * GRANTS_PER_WINDOW < this.#window) return 0;
    this.#outstanding += grant;
    return grant;
  }

  /** The exchange is over: gives back all but what is unread, which it returns; who reads it gives that back. */
  close(): number {
    const unread = this.#unread;
    this.#budget.give(this.#window - unread);
    this.#window = 0;
    this.#outstanding = 0;
    this.#unread = 0;
    return unread;
  }
}
