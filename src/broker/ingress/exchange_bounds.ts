import type { AppGates, TurnWaiter } from "./app_gates.ts";
import type { AppLimits } from "./app_limits.ts";

/** Whose exchange is bounded. */
export interface BoundedExchange {
  /** It may begin; `msLeft` for all of it, 0: no limit. */
  mayBegin(msLeft: number): void;
  /** It has ended, unless it is over: no turn came, or it took too long. */
  boundReached(code: "app_busy" | "exchange_timeout"): void;
}

/** Holds one exchange to the limits of its app: waits for its turn, and ends it when its time is up. */
export class ExchangeBounds implements TurnWaiter {
  readonly #appId: string;
  readonly #limits: AppLimits;
  readonly #gates: AppGates;
  readonly #exchange: BoundedExchange;
  readonly #endsAt: number;
  #turn: "none" | "queued" | "mine" = "none";
  #timer: NodeJS.Timeout | null = null;

  constructor(appId: string, limits: AppLimits, gates: AppGates, exchange: BoundedExchange) {
    this.#appId = appId;
    this.#limits = limits;
    this.#gates = gates;
    this.#exchange = exchange;
    this.#endsAt = performance.now() + limits.totalMs;
  }

  /** Calls `mayBegin` or `boundReached`, now or later. */
  start(): void {
    const { maxConcurrent, maxQueued, queueMs, totalMs } = this.#limits;
    if (maxConcurrent === 0) return this.#begin();
    const entry = this.#gates.enter(this.#appId, this, maxConcurrent, maxQueued);
    if (entry === "full") return this.#exchange.boundReached("app_busy");
    if (entry === "entered") {
      this.#turn = "mine";
      return this.#begin();
    }
    this.#turn = "queued";
    const isTotal = totalMs > 0 && (queueMs === 0 || totalMs < queueMs);
    const waitMs = isTotal ? totalMs : queueMs;
    if (waitMs === 0) return;
    const code = isTotal ? "exchange_timeout" : "app_busy";
    this.#timer = setTimeout(() => this.#exchange.boundReached(code), waitMs);
  }

  turnCame(): void {
    this.#turn = "mine";
    this.#stopTimer();
    this.#begin();
  }

  /** The exchange has become a connection of its own, which takes the time that it takes. */
  upgraded(): void {
    this.#stopTimer();
  }

  /** The exchange is over: to be called once, however it ended. */
  over(): void {
    this.#stopTimer();
    const turn = this.#turn;
    this.#turn = "none";
    if (turn === "queued") this.#gates.cancel(this.#appId, this);
    if (turn === "mine") this.#gates.leave(this.#appId, this.#limits.maxConcurrent);
  }

  #begin(): void {
    if (this.#limits.totalMs === 0) return this.#exchange.mayBegin(0);
    const msLeft = Math.max(1, Math.ceil(this.#endsAt - performance.now()));
    this.#timer = setTimeout(() => this.#exchange.boundReached("exchange_timeout"), msLeft);
    this.#exchange.mayBegin(msLeft);
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
