import type { Log } from "../platform/log.ts";
import type { Actor } from "./model.ts";
import type { Store } from "./store/port.ts";

/** What it takes to tell who is away. */
export interface InactiveConnectorsOptions {
  store: Pick<Store, "noteAbsence" | "deleteConnector">;
  /** Ids of connectors that have a tunnel now. */
  connected: () => readonly string[];
  /** Absence after which a connector is removed, in milliseconds; 0: never. */
  removeAfterMs: number;
  log: Log;
  /** Milliseconds of a monotonic clock. */
  now?: () => number;
}

const MOST_OFTEN_MS = 1_000;
const LEAST_OFTEN_MS = 60_000;
const ACTOR: Actor = { kind: "system", id: "inactive-connectors" };

/**
 * Removes connectors that had no tunnel for long. Only time in which this broker ran and watched counts, measured by a
 * clock that nobody sets: neither a step of the wall clock nor a broker that was off removes anybody.
 */
export class InactiveConnectors implements Disposable {
  readonly #options: InactiveConnectorsOptions;
  readonly #everyMs: number;
  readonly #timer: NodeJS.Timeout;
  #last: number;

  constructor(options: InactiveConnectorsOptions) {
    this.#options = options;
    const { removeAfterMs, now = () => performance.now() } = options;
    this.#everyMs = Math.min(LEAST_OFTEN_MS, Math.max(MOST_OFTEN_MS, removeAfterMs / 10));
    this.#last = now();
    this.#timer = setInterval(() => void this.check(), this.#everyMs);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  /** Notes who is away, and removes who was for too long. Never rejects: what fails now is done the next time. */
  async check(): Promise<void> {
    const { store, connected, removeAfterMs, log, now = () => performance.now() } = this.#options;
    const at = now();
    // A process that was suspended has watched nobody meanwhile.
    const elapsed = Math.min(at - this.#last, 2 * this.#everyMs);
    this.#last = at;
    try {
      const limit = removeAfterMs === 0 ? Number.MAX_SAFE_INTEGER : removeAfterMs;
      for (const id of await store.noteAbsence(connected(), elapsed, limit)) {
        if (connected().includes(id)) continue;
        await store.deleteConnector(ACTOR, id);
        log.warn("connector removed: it had no tunnel for too long", { connector: id, removeAfterMs });
      }
    } catch (error) {
      log.warn("cannot note absent connectors", { error: String(error) });
    }
  }
}
