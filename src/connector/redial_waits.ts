import { backoffMs } from "../platform/backoff.ts";
import { MIN_RECONNECT_WINDOW_MS } from "../protocol/reconnect_window.ts";
import { DialError } from "./errors.ts";

const FIRST_MS = 250;
/** While the listener is not there: quickly for a minute or so, then a little less. A refused connection costs next to nothing. */
const CAP_REFUSED_CONNECTION_MS = 500;
const CAP_LONG_REFUSED_MS = 1_000;
const QUICK_ATTEMPTS = 120;
/** The same where there are many: a broker lets them in a few at a time, so nothing is won by staying away for longer. */
const CAP_CROWD_MS = 2_000;
const CAP_UNRESOLVABLE_MS = 2_000;
const CAP_MS = 20_000;
const CAP_REFUSED_MS = 60_000;
/** Nobody was there: says nothing of who will be. */
const UNANSWERED: ReadonlySet<string> = new Set(["broker_unreachable", "broker_unresolvable"]);
/** A tunnel that lasted this long was a good one. */
const GOOD_AFTER_MS = 10_000;

/** How long to wait before the next dial, with full jitter: after the loss of a good tunnel over the window that its broker told. */
export class RedialWaits {
  /** Waits since the last good tunnel, but for those below. */
  #attempts = 0;
  /** Waits since anybody was there. */
  #unanswered = 0;
  #isUnanswered = false;
  #firstMs = FIRST_MS;
  #capMs = CAP_MS;
  #windowMs = MIN_RECONNECT_WINDOW_MS;

  /** A tunnel has ended that lasted so long, whose broker named this window; milliseconds. */
  lost(lastedMs: number, windowMs: number): void {
    this.#windowMs = windowMs;
    this.#unanswered = 0;
    this.#isUnanswered = false;
    const isGood = lastedMs >= GOOD_AFTER_MS;
    if (isGood) this.#attempts = 0;
    this.#firstMs = isGood ? windowMs : FIRST_MS;
    this.#capMs = isGood ? windowMs : CAP_MS;
  }

  /** A dial has failed. */
  failed(error: Error): void {
    this.#firstMs = FIRST_MS;
    this.#isUnanswered = error instanceof DialError && UNANSWERED.has(error.code);
    if (!this.#isUnanswered) this.#unanswered = 0;
    this.#capMs = this.#capAfter(error);
  }

  /** Milliseconds from now; counts as an attempt. */
  next(): number {
    const ms = backoffMs(this.#attempts + this.#unanswered, { firstMs: this.#firstMs, capMs: this.#capMs });
    if (this.#isUnanswered) this.#unanswered += 1;
    else this.#attempts += 1;
    return ms;
  }

  #capAfter(error: Error): number {
    if (!(error instanceof DialError)) return CAP_MS;
    if (error.code === "broker_unreachable") {
      const capMs = this.#unanswered < QUICK_ATTEMPTS ? CAP_REFUSED_CONNECTION_MS : CAP_LONG_REFUSED_MS;
      return Math.max(capMs, Math.min(this.#windowMs, CAP_CROWD_MS));
    }
    if (error.code === "broker_unresolvable") return CAP_UNRESOLVABLE_MS;
    return error.code === "tunnel_refused" && !error.retryable ? CAP_REFUSED_MS : CAP_MS;
  }
}
