/** One upgraded connection, as {@linkcode IdleSweep} watches it. */
export interface IdleWatch {
  /** Set it to true whenever bytes pass, in either direction; the sweep takes it back. */
  active: boolean;
  /** Stops watching. */
  stop(): void;
}

/** What an upgraded connection is told of idleness. */
export interface IdleSetting {
  sweep: IdleSweep;
  /** Silence in both directions after which the connection ends, in milliseconds; 0 is for ever. */
  afterMs: number;
}

/** A connection that is watched. */
class Watched implements IdleWatch {
  active = false;
  /** When it was last seen active, on the clock of the sweep. */
  quietSince: number;
  readonly idleMs: number;
  readonly expire: () => void;
  readonly #all: Set<Watched>;

  constructor(idleMs: number, expire: () => void, now: number, all: Set<Watched>) {
    this.idleMs = idleMs;
    this.expire = expire;
    this.quietSince = now;
    this.#all = all;
    all.add(this);
  }

  stop(): void {
    this.#all.delete(this);
  }

  /** So many milliseconds do not count. */
  putOff(ms: number, now: number): void {
    this.quietSince = Math.min(now, this.quietSince + ms);
  }
}

/** A look that comes so late tells that this process stood still, in milliseconds. */
const STOOD_STILL_MS = 1_000;

/** A connection is ended at most about two of these parts of its time late. */
const PARTS = 8;
/** Bounds of the time between two sweeps, in milliseconds. */
const SHORTEST_MS = 10;
const LONGEST_MS = 15_000;

/**
 * Ends upgraded connections on which nothing has passed for their time. One timer for all of them, and one write to a
 * field for each piece of data: thousands of connections with many small messages each must not pay for timers.
 */
export class IdleSweep implements Disposable {
  readonly #now: () => number;
  readonly #watched = new Set<Watched>();
  #timer: NodeJS.Timeout | null = null;
  #everyMs = LONGEST_MS;

  /** `now`: milliseconds of a monotonic clock. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Watches a connection: `expire` is called once when nothing passed for `idleMs`. Null where that is 0, for ever. */
  watch(idleMs: number, expire: () => void): IdleWatch | null {
    if (!(idleMs > 0)) return null;
    const everyMs = Math.min(LONGEST_MS, Math.max(SHORTEST_MS, Math.ceil(idleMs / PARTS)));
    if (this.#timer === null || everyMs < this.#everyMs) this.#start(everyMs);
    return new Watched(idleMs, expire, this.#now(), this.#watched);
  }

  /** Looks at all connections once; done by the timer. */
  sweep(): void {
    const now = this.#now();
    for (const one of this.#watched) {
      if (one.active) {
        one.active = false;
        one.quietSince = now;
      } else if (now - one.quietSince >= one.idleMs) {
        one.stop();
        one.expire();
      }
    }
    if (this.#watched.size === 0) this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  #start(everyMs: number): void {
    this[Symbol.dispose]();
    this.#everyMs = everyMs;
    let dueAt = this.#now() + everyMs;
    this.#timer = setInterval(() => {
      const now = this.#now();
      const lateMs = now - dueAt;
      dueAt = now + everyMs;
      // Who stood still has not listened: what came meanwhile is read only after this.
      if (lateMs > Math.min(everyMs, STOOD_STILL_MS)) {
        for (const one of this.#watched) one.putOff(lateMs, now);
      }
      this.sweep();
    }, everyMs);
  }
}
