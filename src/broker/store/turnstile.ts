import { StoreError } from "./errors.ts";

/**
 * Lets one in at a time, in order of arrival. Where there is a queue, each gets a turn of the event loop of its own:
 * what goes on inside waits for nothing outside, so a long queue would keep the loop to itself. At most `limit` wait:
 * one more is turned away with `store_unavailable`.
 */
export class Turnstile {
  readonly #limit: number;
  readonly #waiting: (() => void)[] = [];
  #taken = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Resolves when it is the caller's turn. `limit`: another one for this caller. */
  async enter(limit = this.#limit): Promise<void> {
    if (!this.#taken) {
      this.#taken = true;
      return;
    }
    if (this.#waiting.length >= limit) {
      throw new StoreError(
        "store_unavailable",
        `Cannot use the store: ${limit} calls are waiting already`,
      );
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** The one inside goes; who has waited longest is in. */
  leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#taken = false;
    else setImmediate(next);
  }
}
