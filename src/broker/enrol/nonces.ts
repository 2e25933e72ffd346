import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";

/** How many nonces, and for how long. */
export interface NonceOptions {
  /** Milliseconds that a nonce is good for. */
  lifetimeMs?: number;
  /** Spent nonces that are remembered until they end; while there are so many, none is taken. */
  maxSpent?: number;
}

const RANDOM_BYTES = 16;
const TIME_BYTES = 6;
const MAC_BYTES = 16;
const BYTES = RANDOM_BYTES + TIME_BYTES + MAC_BYTES;

/**
 * Nonces that cost nothing until they are spent: each carries its end and a MAC under a key of this process, so asking
 * for any number takes no memory, and nobody can crowd out others. Time is an argument.
 */
export class Nonces {
  readonly #key = randomBytes(32);
  readonly #lifetimeMs: number;
  readonly #maxSpent: number;
  /** Spent ones with their end. */
  readonly #spent = new Map<string, number>();

  constructor({ lifetimeMs = 60_000, maxSpent = 10_000 }: NonceOptions = {}) {
    this.#lifetimeMs = lifetimeMs;
    this.#maxSpent = maxSpent;
  }

  /** A new nonce, base64url. */
  issue(now: number): string {
    const head = Buffer.alloc(RANDOM_BYTES + TIME_BYTES);
    randomBytes(RANDOM_BYTES).copy(head);
    head.writeUIntBE(now + this.#lifetimeMs, RANDOM_BYTES, TIME_BYTES);
    return Buffer.concat([head, this.#mac(head)]).toString("base64url");
  }

  /** True for a nonce of this process that has not ended and was not spent. */
  isGood(nonce: string, now: number): boolean {
    const end = this.#endOf(nonce);
    return end !== null && now < end && now >= end - this.#lifetimeMs && !this.#spent.has(nonce);
  }

  /** Spends a good nonce; false where it is none, or where too many were spent lately. */
  spend(nonce: string, now: number): boolean {
    if (!this.isGood(nonce, now)) return false;
    // They end in about the order in which they were spent. One that ends later than any can was spent before the clock went
    // back, and is not good anyway.
    for (const [one, end] of this.#spent) {
      if (end > now && end <= now + this.#lifetimeMs) break;
      this.#spent.delete(one);
    }
    if (this.#spent.size >= this.#maxSpent) return false;
    this.#spent.set(nonce, this.#endOf(nonce)!);
    return true;
  }

  #endOf(nonce: string): number | null {
    const bytes = Buffer.from(nonce, "base64url");
    if (bytes.length !== BYTES || bytes.toString("base64url") !== nonce) return null;
    const head = bytes.subarray(0, RANDOM_BYTES + TIME_BYTES);
    if (!timingSafeEqual(this.#mac(head), bytes.subarray(RANDOM_BYTES + TIME_BYTES))) return null;
    return head.readUIntBE(RANDOM_BYTES, TIME_BYTES);
  }

  #mac(head: Uint8Array): Buffer {
    return createHmac("sha256", this.#key).update(head).digest().subarray(0, MAC_BYTES);
  }
}
