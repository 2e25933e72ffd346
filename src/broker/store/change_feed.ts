import type { Log } from "../../platform/log.ts";
import type { Change } from "./port.ts";

/** Who wants to hear of changes. A listener that throws is logged and harms neither the caller nor the others. */
export class ChangeFeed {
  readonly #listeners = new Set<{ listener: (change: Change) => void }>();
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  subscribe(listener: (change: Change) => void): () => void {
    const entry = { listener };
    this.#listeners.add(entry);
    return () => {
      this.#listeners.delete(entry);
    };
  }

  publish(changes: readonly Change[]): void {
    for (const change of changes) {
      for (const { listener } of [...this.#listeners]) {
        try {
          listener(change);
        } catch (error) {
          this.#log.error("Listener of store changes failed", { change, error });
        }
      }
    }
  }
}
