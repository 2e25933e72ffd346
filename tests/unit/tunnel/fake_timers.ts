interface FakeTimer {
  due: number;
  ms: number;
  run: () => void;
  refresh(): FakeTimer;
  unref(): FakeTimer;
}

/** Takes the place of `setTimeout` and `clearTimeout` until disposed; time stands still until `advance`. */
export class FakeTimers implements Disposable {
  readonly #real = { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout };
  readonly #timers = new Set<FakeTimer>();
  #now = 0;

  constructor() {
    globalThis.setTimeout = ((run: () => void, ms: number) => this.#add(run, ms)) as never;
    globalThis.clearTimeout = ((timer: FakeTimer) => void this.#timers.delete(timer)) as never;
  }

  /** Timers that still run. */
  get count(): number {
    return this.#timers.size;
  }

  /** Lets `ms` pass. */
  advance(ms: number): void {
    this.#now += ms;
    for (const timer of [...this.#timers]) {
      if (timer.due > this.#now || !this.#timers.delete(timer)) continue;
      timer.run();
    }
  }

  [Symbol.dispose](): void {
    Object.assign(globalThis, this.#real);
  }

  #add(run: () => void, ms: number): FakeTimer {
    const timer: FakeTimer = {
      due: this.#now + ms,
      ms,
      run,
      refresh: () => {
        timer.due = this.#now + ms;
        return timer;
      },
      unref: () => timer,
    };
    this.#timers.add(timer);
    return timer;
  }
}
