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

  /** Resolves once there were so many since the start. */
  reached(count: number): Promise<void> {
    if (this.#count >= count) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ count, resolve }));
  }
}
