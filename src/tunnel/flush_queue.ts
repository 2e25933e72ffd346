/** Something that holds back its writes for a moment. */
export interface Flushable {
  flush(): void;
}

/**
 * Joins what is written within one turn of the event loop: who writes registers once, and is flushed after the current
 * callback. A response head, its body and its end so leave in one write.
 */
export class FlushQueue {
  #waiting: Flushable[] = [];
  #flushing: Flushable[] = [];
  readonly #run = (): void => {
    const all = this.#waiting;
    this.#waiting = this.#flushing;
    this.#flushing = all;
    for (let i = 0; i < all.length; i++) all[i]!.flush();
    all.length = 0;
  };

  /** Calls `item.flush()` once, after the current callback. */
  add(item: Flushable): void {
    if (this.#waiting.push(item) === 1) process.nextTick(this.#run);
  }
}
