import type { Log } from "../../platform/log.ts";

/** A request that got an error page of ours, so that whoever is told its id finds it. */
export interface Failure {
  code: string;
  status: number;
  requestId: string;
  app: string;
  /** Empty where none was reached. */
  connector: string;
  /** Milliseconds from the request's arrival. */
  totalMs: number;
}

/** Lines at once, and lines a second after that: an outage must not fill a disk. */
const BURST = 20;
const PER_SECOND = 2;

/**
 * Says in the admin log which requests could not be served (5xx), also while the session log is off: their users are
 * asked to tell the administrator the code and the id. What is beyond the rate is counted in the next line.
 */
export class FailureLog {
  readonly #log: Log;
  readonly #now: () => number;
  #left = BURST;
  #filledAt: number;
  #unsaid = 0;

  /** `now`: milliseconds, from anywhere. */
  constructor(log: Log, now: () => number = () => performance.now()) {
    this.#log = log;
    this.#now = now;
    this.#filledAt = now();
  }

  note({ totalMs, connector, ...facts }: Failure): void {
    const now = this.#now();
    this.#left = Math.min(BURST, this.#left + (now - this.#filledAt) * PER_SECOND / 1_000);
    this.#filledAt = now;
    if (this.#left < 1) {
      this.#unsaid += 1;
      return;
    }
    this.#left -= 1;
    const unsaid = this.#unsaid;
    this.#unsaid = 0;
    this.#log.warn("request failed", {
      ...facts,
      ...(connector === "" ? {} : { connector }),
      ms: Math.round(totalMs),
      ...(unsaid === 0 ? {} : { unsaid }),
    });
  }
}
