/** Extra requests for each request of a user: what Finagle and Linkerd allow, too. */
const SHARE = 0.2;
/** Retries that are allowed before any were earned: an app that is new has shown no load yet, and may have little. */
const FIRST = 20;
/** Retries that are saved up at most: as many as may be in flight on a tunnel when it is lost. */
const MOST = 2_000;

/**
 * How many requests may be sent a second time: at most a fifth of what users send, so that trouble is not made worse by
 * doubling the load.
 */
export class RetryBudget {
  #left = FIRST;

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
