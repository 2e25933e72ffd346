import type { Abort, HeaderList, RequestHead } from "../../protocol/heads.ts";
import type { CreditBudget } from "../../tunnel/credit_budget.ts";
import type { ExchangeHandler } from "../../tunnel/exchange_handler.ts";
import type { Spread } from "./spread.ts";

/** A lane as the ingress uses it: begin once, then send, until both directions have ended. */
export interface LanePort {
  /** Starts the exchange with an encoded request frame. */
  begin(frame: Buffer, follows: RequestHead["follows"], handler: ExchangeHandler): void;
  sendData(bytes: Buffer): boolean;
  sendEnd(trailers: HeaderList): void;
  consumed(bytes: number): void;
  abort(reason: Abort): void;
  readonly isSending: boolean;
}

/** A request that wants a lane: its own waiting entry, so that the wait allocates nothing. */
export interface LaneWaiter {
  /** Which app it is for. */
  readonly spread: Spread;
  /** With an affinity: what it goes by, the tag of a connector or a client's address. Empty: nothing. */
  readonly affinityKey: string;
  /** Connectors on which it has failed: taken again only where there is no other. */
  readonly tried: readonly string[];
  /** A lane is there: begin on it at once. */
  laneReady(lane: LanePort, connectorId: string): void;
  /** None came: `no_connector` or `overloaded`. */
  laneFailed(code: "no_connector" | "overloaded"): void;
}

/** What the ingress may ask of the tunnels, and tell of them. */
export interface Lanes {
  readonly budget: CreditBudget;
  /** Calls `laneReady` at once, or later, or `laneFailed`; exactly one of them unless cancelled. */
  acquire(waiter: LaneWaiter): void;
  /** The waiter gave up: nothing will be called. */
  cancel(waiter: LaneWaiter): void;
  /** True when a group has a tunnel of a connector that the waiter has not tried yet. */
  hasOther(waiter: LaneWaiter): boolean;
  /** True when a group has any tunnel. */
  hasAny(waiter: LaneWaiter): boolean;
  /** The connector's backend of this app gave a response head after so many milliseconds. */
  answered(spread: Spread, connectorId: string, ms: number): void;
  /** The connector could not reach its backend of this app. */
  unreachable(spread: Spread, connectorId: string): void;
  /** The connector could reach no backend: its host has no descriptors, memory or ports left. */
  exhausted(connectorId: string): void;
}
