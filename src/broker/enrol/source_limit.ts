/** How many wrong secrets one source may try. */
export interface SourceLimitOptions {
  /** Wrong secrets that are free. */
  burst?: number;
  /** After those, one more each so many milliseconds. */
  refillMs?: number;
  /** Sources remembered; beyond it the one that failed longest ago is forgotten. */
  maxSources?: number;
}

interface Failures {
  /** Wrong secrets not yet forgiven at `at`. */
  count: number;
  at: number;
}

/** Counts wrong secrets per source network, forgiving one each `refillMs`. Time is an argument; memory is bounded. */
export class SourceLimit {
  readonly #burst: number;
  readonly #refillMs: number;
  readonly #maxSources: number;
  readonly #failures = new Map<string, Failures>();

  constructor({ burst = 10, refillMs = 6_000, maxSources = 10_000 }: SourceLimitOptions = {}) {
    this.#burst = burst;
    this.#refillMs = refillMs;
    this.#maxSources = maxSources;
  }

  /** Milliseconds until `address` may try again; 0: now. */
  waitMs(address: string, now: number): number {
    const excess = this.#left(networkOf(address), now) - (this.#burst - 1);
    return Math.max(0, Math.ceil(excess * this.#refillMs));
  }

  /** Notes a wrong secret from `address`. */
  failed(address: string, now: number): void {
    const network = networkOf(address);
    const count = Math.min(this.#left(network, now) + 1, this.#burst);
    this.#failures.delete(network);
    this.#failures.set(network, { count, at: now });
    for (const oldest of this.#failures.keys()) {
      if (this.#failures.size <= this.#maxSources) break;
      this.#failures.delete(oldest);
    }
  }

  #left(network: string, now: number): number {
    const failures = this.#failures.get(network);
    if (failures === undefined) return 0;
    return Math.max(0, failures.count - Math.max(0, now - failures.at) / this.#refillMs);
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
