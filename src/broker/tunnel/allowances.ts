/** How much may be used: so much at once, and so much more each second. */
export interface AllowanceRate {
  burst: number;
  perSecond: number;
}

interface Account {
  left: number;
  /** When `left` was right. */
  at: number;
  /** Refusals since something was granted last. */
  refused: number;
}

/**
 * An allowance for each of many names. Time is an argument, milliseconds of a monotonic clock. Names of which nothing is
 * asked until their allowance must be whole again are forgotten, without a timer.
 */
export class Allowances {
  readonly #rate: AllowanceRate;
  readonly #wholeAfterMs: number;
  /** Asked for since `#since`, and those that were asked for only in the time before. */
  #recent = new Map<string, Account>();
  #before = new Map<string, Account>();
  #since = Number.NEGATIVE_INFINITY;

  constructor(rate: AllowanceRate) {
    this.#rate = rate;
    this.#wholeAfterMs = rate.burst / rate.perSecond * 1_000;
  }

  /** Names that are remembered. */
  get size(): number {
    return this.#recent.size + this.#before.size;
  }

  /** Takes so much: -1 when it is not there, and nothing is taken; else how often it was refused since the last time. */
  take(name: string, amount: number, now: number): number {
    const { burst, perSecond } = this.#rate;
    const account = this.#account(name, now);
    account.left = Math.min(burst, account.left + (now - account.at) * perSecond / 1_000);
    account.at = now;
    if (account.left < amount) {
      account.refused += 1;
      return -1;
    }
    account.left -= amount;
    const { refused } = account;
    account.refused = 0;
    return refused;
  }

  #account(name: string, now: number): Account {
    if (now - this.#since >= this.#wholeAfterMs) {
      this.#before = this.#recent;
      this.#recent = new Map();
      this.#since = now;
    }
    let account = this.#recent.get(name);
    if (account !== undefined) return account;
    account = this.#before.get(name);
    if (account === undefined) account = { left: this.#rate.burst, at: now, refused: 0 };
    else this.#before.delete(name);
    this.#recent.set(name, account);
    return account;
  }
}
