import { jittered } from "../platform/backoff.ts";

/** Polls come up to this share earlier or later, so that many connectors do not come at once. */
const JITTER = 0.1;

/** Questions that are asked again and again until it is disposed of; one that fails is told and asked again. */
export class Polls implements Disposable {
  readonly #failed: (error: Error) => void;
  readonly #timers = new Set<NodeJS.Timeout>();
  #isOver = false;

  constructor(failed: (error: Error) => void) {
    this.#failed = failed;
  }

  /** Calls `ask` about every so many milliseconds, counted from the end of the one before; not at once. */
  every(intervalMs: number, ask: () => Promise<void>): void {
    if (this.#isOver) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      ask().catch(this.#failed).finally(() => this.every(intervalMs, ask));
    }, jittered(intervalMs, JITTER));
    this.#timers.add(timer);
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}
