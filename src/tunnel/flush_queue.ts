/** Something that holds back its writes for a moment. */
export interface Flushable {
  flush(): void;
}

/**
 * Joins what is written close together: who writes registers once and is flushed a moment later. With `process.nextTick`,
 * the default, that is after the current callback: a response head, its body and its end so leave in one write. With
 * `setImmediate` it is after all input of this turn of the event loop: many pieces of bulk leave in one system call.
 */
export class FlushQueue {
  readonly #schedule: (run: () => void) => void;
  #waiting: Flushable[] = [];
  #flushing: Flushable[] = [];
  readonly #run = (): void => {
    const all = this.#waiting;
    this.#waiting = this.#flushing;
    this.#flushing = all;
    for (let i = 0; i < all.length; i++) all[i]!.flush();
    all.length = 0;
  };

  constructor(schedule: (run: () => void) => void = process.nextTick) {
    this.#schedule = schedule;
  }

  /** Calls `item.flush()` once, a moment later. */
  add(item: Flushable): void {
    if (this.#waiting.push(item) === 1) this.#schedule(this.#run);
  }
}
