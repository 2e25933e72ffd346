import { INITIAL_CREDIT, MAX_CREDIT } from "../protocol/limits.ts";

/**
 * How many bytes all peers together may have been granted and this process not yet passed on. The first
 * `INITIAL_CREDIT` of every exchange is always given; growth beyond it comes out of what is free, and no exchange may
 * take more than a quarter of that, so that readers which stall cannot take all from one that keeps up.
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

  /** The window that an exchange with this one may have next: twice as large and taken, or the same. */
  grow(window: number): number {
    if (window >= MAX_CREDIT || window * 4 > this.limit - this.#used) return window;
    this.#used += window;
    return window * 2;
  }
}

/** What one direction of an exchange may send us: granted bytes, and how fast they are used. Reused from exchange to exchange. */
export class Inflow {
  readonly #budget: CreditBudget;
  #window = 0;
  /** Granted and not yet arrived. */
  #outstanding = 0;
  /** Arrived and not yet passed on. */
  #unread = 0;
  #grantedAt = 0;

  constructor(budget: CreditBudget) {
    this.#budget = budget;
  }

  /** A new exchange begins to receive; `now` in milliseconds. */
  open(now: number): void {
    this.#window = INITIAL_CREDIT;
    this.#outstanding = INITIAL_CREDIT;
    this.#unread = 0;
    this.#grantedAt = now;
    this.#budget.take(INITIAL_CREDIT);
  }

  /** Bytes arrived. False: more than was granted. */
  arrived(bytes: number): boolean {
    this.#outstanding -= bytes;
    this.#unread += bytes;
    return this.#outstanding >= 0;
  }

  /**
   * Bytes were passed on (more than arrived count for nothing); returns how many more to grant, mostly 0. The window doubles when it was used up and drained
   * within two round trips: then it, and not the reader, is what limits the sender.
   */
  consumed(bytes: number, now: number, roundTripMs: number): number {
    this.#unread -= Math.min(bytes, this.#unread);
    const open = this.#outstanding + this.#unread;
    if (open * 2 > this.#window) return 0;
    if (now - this.#grantedAt <= 2 * roundTripMs + 1) this.#window = this.#budget.grow(this.#window);
    this.#grantedAt = now;
    const grant = this.#window - open;
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
