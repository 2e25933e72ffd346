/** Idle lanes at the start, and the fewest to keep. */
const AT_START = 16;
const LEAST_IDLE = 8;
/** After a lane was refused or reset, the supply is filled up again only so often, milliseconds. */
const REFILL_AFTER_MS = 50;

/** Opens one lane; it counts as idle at once. */
export type OpenLane = () => void;

/**
 * Keeps enough idle lanes open that the broker hardly ever has to wait for one: at least 8, and with every shortage half
 * as many as are busy besides; more at once when the broker asks.
 */
export class LaneSupply implements Disposable {
  readonly #open: OpenLane;
  readonly #most: number;
  #idle = 0;
  #busy = 0;
  #refill: NodeJS.Timeout | null = null;
  #state: "supplying" | "stopped" = "supplying";

  /** `most` lanes at the same time. */
  constructor(most: number, open: OpenLane) {
    this.#most = most;
    this.#open = open;
  }

  get idle(): number {
    return this.#idle;
  }

  get busy(): number {
    return this.#busy;
  }

  /** Lanes that are open or being opened. */
  get total(): number {
    return this.#idle + this.#busy;
  }

  /** Opens the first lanes. */
  start(): void {
    this.add(AT_START);
  }

  /** Opens so many lanes now, up to the limit. */
  add(count: number): void {
    const room = this.#most - this.#idle - this.#busy;
    for (let i = Math.min(count, room); i > 0 && this.#state === "supplying"; i--) {
      this.#idle += 1;
      this.#open();
    }
  }

  /** An idle lane was taken. */
  busied(): void {
    this.#idle -= 1;
    this.#busy += 1;
    if (this.#idle < LEAST_IDLE) this.#fill();
  }

  /** A busy lane is idle again. */
  idled(): void {
    this.#busy -= 1;
    this.#idle += 1;
  }

  /** A lane is gone; `failed`: not in peace. */
  closed(wasIdle: boolean, failed: boolean): void {
    if (wasIdle) this.#idle -= 1;
    else this.#busy -= 1;
    if (this.#idle >= LEAST_IDLE || this.#state === "stopped") return;
    if (!failed) return this.#fill();
    this.#refill ??= setTimeout(() => {
      this.#refill = null;
      if (this.#idle < LEAST_IDLE) this.#fill();
    }, REFILL_AFTER_MS);
  }

  /** Opens no lane any more. */
  [Symbol.dispose](): void {
    this.#state = "stopped";
    if (this.#refill !== null) clearTimeout(this.#refill);
    this.#refill = null;
  }

  #fill(): void {
    this.add(LEAST_IDLE - this.#idle + (this.#busy >> 1));
  }
}
