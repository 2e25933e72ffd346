import { MAX_CREDIT } from "../protocol/limits.ts";

/**
 * An exchange that has passed on this much is read by its reader, and not just by the buffers of a kernel: Linux takes at most
 * 4 MiB for a socket that nobody reads (net.ipv4.tcp_wmem), and that only where segments are as large as on loopback.
 */
const PROVEN_BYTES = 4.5 * 1024 * 1024;

/**
 * How many bytes all peers together may have been granted and this process not yet passed on. The first
 * credit of every exchange is always given; growth beyond it comes out of what is free, and no exchange may
 * take more than a quarter of that. Three quarters of all are kept for exchanges that have proven to have a reader: thousands whose
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
    const free = (passedOn < PROVEN_BYTES ? this.limit / 4 : this.limit) - this.#used;
    if (window >= MAX_CREDIT || window * 4 > free) return window;
    this.#used += window;
    return window * 2;
  }
}
