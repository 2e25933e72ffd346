/** How many wrong secrets one source may try. */
export interface SourceLimitOptions {
  /** Wrong secrets that are free. */
  burst?: number;
  /** After those, one more each so many milliseconds. */
  refillMs?: number;
  /** Sources remembered; beyond it the one that failed longest ago is forgotten. */
  maxSources?: number;
}

/** Milliseconds until all is forgiven, as it was at `at`. */
interface Debt {
  ms: number;
  at: number;
}

/** Counts wrong secrets per source network, forgiving one each `refillMs`. Time is an argument; memory is bounded. */
export class SourceLimit {
  readonly #burst: number;
  readonly #refillMs: number;
  readonly #maxSources: number;
  readonly #debts = new Map<string, Debt>();

  constructor({ burst = 10, refillMs = 6_000, maxSources = 10_000 }: SourceLimitOptions = {}) {
    this.#burst = burst;
    this.#refillMs = refillMs;
    this.#maxSources = maxSources;
  }

  /** Milliseconds until `address` may try again; 0: now. */
  waitMs(address: string, now: number): number {
    return Math.max(0, this.#debtMs(networkOf(address), now) - (this.#burst - 1) * this.#refillMs);
  }

  /** Notes a wrong secret from `address`. */
  failed(address: string, now: number): void {
    const network = networkOf(address);
    const ms = Math.min(this.#debtMs(network, now) + this.#refillMs, this.#burst * this.#refillMs);
    this.#debts.delete(network);
    this.#debts.set(network, { ms, at: now });
    for (const oldest of this.#debts.keys()) {
      if (this.#debts.size <= this.#maxSources) break;
      this.#debts.delete(oldest);
    }
  }

  #debtMs(network: string, now: number): number {
    const debt = this.#debts.get(network);
    if (debt === undefined) return 0;
    if (now < debt.at) debt.at = now; // The clock went back: else nothing was forgiven until it is there again.
    return Math.max(0, debt.ms - (now - debt.at));
  }
}

/** Who has one IPv6 address has at least the 2^64 of its network: those count as one. */
function networkOf(address: string): string {
  if (!address.includes(":") || address.startsWith("::ffff:")) return address;
  const [head = "", tail] = address.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined
    ? []
    : Array<string>(Math.max(0, 8 - left.length - right.length)).fill("0");
  return [...left, ...zeros, ...right].slice(0, 4).join(":");
}
