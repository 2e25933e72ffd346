/** Who waits for a turn: its own entry in the queue. */
export interface TurnWaiter {
  /** The turn has come; `leave` gives it on. */
  turnCame(): void;
}

/** How a request fares at a gate. */
export type Entry = "entered" | "queued" | "full";

interface Gate {
  running: number;
  /** Turns are being given: who leaves meanwhile only makes room. */
  giving: boolean;
  /** In the order of their coming. */
  readonly queue: Set<TurnWaiter>;
}

/** Counts the requests of apps with a limit on how many are served at a time, and keeps the queues of those that wait. */
export class AppGates {
  readonly #gates = new Map<string, Gate>();

  /** Enters at once, or waits for `turnCame`, or does neither. `maxConcurrent` is that of the app as it is now. */
  enter(appId: string, waiter: TurnWaiter, maxConcurrent: number, maxQueued: number): Entry {
    let gate = this.#gates.get(appId);
    if (gate === undefined) {
      gate = { running: 0, giving: false, queue: new Set() };
      this.#gates.set(appId, gate);
    }
    if (gate.running < maxConcurrent) {
      gate.running += 1;
      return "entered";
    }
    if (gate.queue.size >= maxQueued) return "full";
    gate.queue.add(waiter);
    return "queued";
  }

  /** Gives the turn of one that has entered to the next, if the app as it is now lets so many in. */
  leave(appId: string, maxConcurrent: number): void {
    const gate = this.#gates.get(appId)!;
    gate.running -= 1;
    if (gate.giving) return;
    gate.giving = true;
    for (const next of gate.queue) {
      // At least one: a limit that was taken away lets those go on that still wait for it.
      if (gate.running >= Math.max(maxConcurrent, 1)) break;
      gate.queue.delete(next);
      gate.running += 1;
      next.turnCame();
    }
    gate.giving = false;
    if (gate.running === 0 && gate.queue.size === 0) this.#gates.delete(appId);
  }

  /** A waiter gives up. */
  cancel(appId: string, waiter: TurnWaiter): void {
    this.#gates.get(appId)?.queue.delete(waiter);
  }

  /** Requests that wait for their turn, of all apps. */
  get waiting(): number {
    let total = 0;
    for (const { queue } of this.#gates.values()) total += queue.size;
    return total;
  }
}
