import { inTime } from "./until.ts";

/** Counts things that happen, and tells when there were enough. */
export class Arrivals {
  #count = 0;
  readonly #waiting: { count: number; resolve: () => void }[] = [];

  /** How many there were. */
  get count(): number {
    return this.#count;
  }

  /** One more. */
  add(): void {
    this.#count += 1;
    for (const waiter of [...this.#waiting]) {
      if (waiter.count > this.#count) continue;
      this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
      waiter.resolve();
    }
  }

  /** Resolves once there were so many since the start; rejects when they do not come in time. */
  reached(count: number): Promise<void> {
    if (this.#count >= count) return Promise.resolve();
    const come = new Promise<void>((resolve) => this.#waiting.push({ count, resolve }));
    return inTime(`there are ${count}`, come, () => `There are ${this.#count}.`);
  }
}
