/** Time to wait for a connection or stream, in milliseconds; longer where an app may take its time to connect. */
const LEAST_WAIT_MS = 30_000;
/** The same where an app sets no limit to connecting: the system gives a connection up a little earlier. */
const UNLIMITED_CONNECT_WAIT_MS = 150_000;

/** How long a request waits for a connection, in milliseconds; `connectMs` of its app is for each of two steps (TCP and TLS; HTTP/2). */
export function waitMsFor(connectMs: number): number {
  return connectMs === 0 ? UNLIMITED_CONNECT_WAIT_MS : Math.max(LEAST_WAIT_MS, 2 * connectMs);
}

/** Those who wait for a connection, in the order of their coming, with one time limit for each. One timer serves them all. */
export class Waiting<T> implements Disposable {
  readonly #since = new Map<T, number>();
  readonly #limitMs: number;
  readonly #tooLong: (waiter: T) => void;
  #timer: NodeJS.Timeout | null = null;

  /** `tooLong` is told of each that has waited for `limitMs`; it does not wait any more then. */
  constructor(limitMs: number, tooLong: (waiter: T) => void) {
    this.#limitMs = limitMs;
    this.#tooLong = tooLong;
  }

  get size(): number {
    return this.#since.size;
  }

  add(waiter: T): void {
    this.#since.set(waiter, performance.now());
    this.#timer ??= this.#in(this.#limitMs);
  }

  delete(waiter: T): void {
    this.#since.delete(waiter);
  }

  /** Takes the first one out; null when nobody waits. */
  shift(): T | null {
    for (const waiter of this.#since.keys()) {
      this.#since.delete(waiter);
      return waiter;
    }
    return null;
  }

  /** Everyone, as of now. */
  all(): T[] {
    return [...this.#since.keys()];
  }

  /** Nobody is told of the time any more. */
  [Symbol.dispose](): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** It runs on when the last one leaves, which is cheaper than one timer for each. */
  #in(ms: number): NodeJS.Timeout {
    return setTimeout(() => this.#look(), ms).unref();
  }

  #look(): void {
    this.#timer = null;
    const now = performance.now();
    for (const [waiter, since] of this.#since) {
      // A timer may be early by a part of a millisecond.
      const leftMs = Math.ceil(since + this.#limitMs - now);
      if (leftMs > 0) {
        this.#timer ??= this.#in(leftMs);
        return;
      }
      this.#since.delete(waiter);
      this.#tooLong(waiter);
    }
  }
}
