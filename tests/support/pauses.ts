const LOOK_MS = 20;
/** The longest row of bad luck that is still believed. */
const TRIES = 3;

/** Tells for how long this process, and so most likely the machine, stood still: its own timer came late. */
export class Pauses implements Disposable {
  readonly #timer = setInterval(() => this.#look(), LOOK_MS);
  #lookedAt = performance.now();
  #longestMs = 0;

  /** The longest pause so far, in milliseconds. */
  get longestMs(): number {
    this.#look();
    return this.#longestMs;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const now = performance.now();
    this.#longestMs = Math.max(this.#longestMs, now - this.#lookedAt - LOOK_MS);
    this.#lookedAt = now;
  }
}

/**
 * What `attempt` gives. It is made again, three times in all, only where it failed while this process stood still for as
 * long as `pauseMs`, milliseconds: what depends on time has proven nothing then.
 */
export async function despitePauses<T>(pauseMs: number, attempt: () => Promise<T>): Promise<T> {
  for (let tries = 1;; tries++) {
    using pauses = new Pauses();
    try {
      return await attempt();
    } catch (error) {
      if (pauses.longestMs < pauseMs || tries === TRIES) throw error;
    }
  }
}
