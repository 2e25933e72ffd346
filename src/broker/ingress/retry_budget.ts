/** Extra requests for each request of a user. */
const SHARE = 0.2;
/** Retries that are allowed at once after a quiet time: as many as may be in flight on a tunnel when it is lost. */
const MOST = 2_000;

/**
 * How many requests may be sent a second time: at most a fifth of what users send, so that trouble is not made worse by
 * doubling the load.
 */
export class RetryBudget {
  #left = MOST;

  /** A user's request has come. */
  earn(): void {
    if (this.#left < MOST) this.#left += SHARE;
  }

  /** True: one more may be sent. */
  spend(): boolean {
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
