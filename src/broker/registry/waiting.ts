import type { LaneWaiter } from "./port.ts";

interface Entry {
  waiter: LaneWaiter;
  deadline: number;
}

/** Requests that wait for a lane of one group, first come first served, each until its deadline (milliseconds). */
export class WaitingRequests {
  readonly #entries = new Map<LaneWaiter, Entry>();

  /** How many wait. */
  get size(): number {
    return this.#entries.size;
  }

  /** Queues a waiter until `deadline`. */
  add(waiter: LaneWaiter, deadline: number): void {
    this.#entries.set(waiter, { waiter, deadline });
  }

  /** Takes a waiter out; false when it was not in. */
  remove(waiter: LaneWaiter): boolean {
    return this.#entries.delete(waiter);
  }

  /** Takes out who has waited longest. */
  shift(): LaneWaiter | undefined {
    for (const waiter of this.#entries.keys()) {
      this.#entries.delete(waiter);
      return waiter;
    }
    return undefined;
  }

  /** Takes out all whose deadline has come; all share one length of wait, so the first are the oldest. */
  expired(now: number): LaneWaiter[] {
    const late: LaneWaiter[] = [];
    for (const entry of this.#entries.values()) {
      if (entry.deadline > now) break;
      late.push(entry.waiter);
    }
    for (const waiter of late) this.#entries.delete(waiter);
    return late;
  }
}
