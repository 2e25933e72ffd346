import { ProtocolError } from "../protocol/errors.ts";
import { INITIAL_CREDIT, MAX_INFORMATIONAL } from "../protocol/limits.ts";
import type { CreditBudget } from "./credit_budget.ts";

/** Smallest grant, so that what fits into the first credit twice over costs one credit frame at most. */
const LEAST_GRANT = INITIAL_CREDIT / 2;
/** What two event loops may add to a round trip, milliseconds. */
const EVENT_LOOPS_MS = 20;
/** Parts in which a large window is given back. */
const GRANTS_PER_WINDOW = 8;

/**
 * The peer's direction of the exchange on a lane: what may come next, how many bytes of it are granted, and how fast they
 * are used. Whatever comes out of its turn is a `ProtocolError`.
 */
export class Inflow {
  readonly #budget: CreditBudget;
  /** `closing` while the handler is told of the end, so that what it does then cannot end the exchange twice. */
  #state: "head" | "body" | "closing" | "ended" = "ended";
  #informationals = 0;
  #window = 0;
  /** Granted and not yet arrived. */
  #outstanding = 0;
  /** Arrived and not yet passed on. */
  #unread = 0;
  /** Passed on since the window was last measured against the round trip, and when that was. */
  #drained = 0;
  #passedOn = 0;
  #measuredAt = 0;

  constructor(budget: CreditBudget) {
    this.#budget = budget;
  }

  /** True when nothing more comes. */
  get hasEnded(): boolean {
    return this.#state === "ended";
  }

  /** True while the handler is told that nothing more comes. */
  get isClosing(): boolean {
    return this.#state === "closing";
  }

  /** A new exchange begins, and this is what comes next of it; `now` in milliseconds. */
  open(awaited: "head" | "body", now: number): void {
    this.#state = awaited;
    this.#informationals = 0;
    this.#window = INITIAL_CREDIT;
    this.#outstanding = INITIAL_CREDIT;
    this.#unread = 0;
    this.#drained = 0;
    this.#passedOn = 0;
    this.#measuredAt = now;
    this.#budget.take(INITIAL_CREDIT);
  }

  /** A 1xx head came. */
  informational(): void {
    if (this.#state !== "head") refuse("informational head after the head");
    if (++this.#informationals > MAX_INFORMATIONAL) refuse("too many informational responses");
  }

  /** The final head came, and all with it where it has no body. */
  head(hasBody: boolean): void {
    if (this.#state !== "head") refuse("second head");
    this.#state = hasBody ? "body" : "closing";
  }

  /** Bytes of the body came. */
  arrived(bytes: number): void {
    if (this.#state !== "body") refuse("data outside of a body");
    this.#outstanding -= bytes;
    this.#unread += bytes;
    if (this.#outstanding < 0) refuse("more data than credit");
  }

  /**
   * Bytes were passed on (more than arrived count for nothing); returns how many more to grant, mostly 0. The window
   * doubles when half of it was drained within two round trips: then it, and not the reader, is what limits the sender.
   * Grants are small parts of a large window, so that the sender does not wait a round trip between two halves of it.
   */
  consumed(bytes: number, now: number, roundTripMs: number): number {
    if (this.#state !== "body") return 0;
    this.#unread -= Math.min(bytes, this.#unread);
    this.#drained += bytes;
    this.#passedOn += bytes;
    if (this.#drained * 2 >= this.#window) {
      if (now - this.#measuredAt <= 2 * roundTripMs + EVENT_LOOPS_MS) {
        this.#window = this.#budget.grow(this.#window, this.#passedOn);
      }
      this.#drained = 0;
      this.#measuredAt = now;
    }
    const grant = this.#window - this.#outstanding - this.#unread;
    if (grant < LEAST_GRANT || grant * GRANTS_PER_WINDOW < this.#window) return 0;
    this.#outstanding += grant;
    return grant;
  }

  /** The end of the body came. */
  end(): void {
    if (this.#state !== "body") refuse("end outside of a body");
    this.#state = "closing";
  }

  /** The peer has broken off. */
  abort(): void {
    this.#state = "closing";
  }

  /** The handler knows that nothing more comes. */
  close(): void {
    this.#state = "ended";
  }

  /** Gives all back to the budget but what is unread, which it returns: who reads it gives that back. */
  release(): number {
    const unread = this.#unread;
    this.#budget.give(this.#window - unread);
    this.#window = 0;
    this.#outstanding = 0;
    this.#unread = 0;
    return unread;
  }
}

function refuse(why: string): never {
  throw new ProtocolError(`Cannot accept frame: ${why}`);
}
