import type { Abort, HeaderList, RequestHead } from "../../protocol/heads.ts";
import type { CreditBudget } from "../../tunnel/credit_budget.ts";
import type { ExchangeHandler } from "../../tunnel/lane.ts";

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
  /** A lane is there: begin on it at once. */
  laneReady(lane: LanePort, connectorId: string): void;
  /** None came: `no_connector` or `overloaded`. */
  laneFailed(code: "no_connector" | "overloaded"): void;
}

/** What the ingress may ask of the tunnels. */
export interface Lanes {
  readonly budget: CreditBudget;
  /** Calls `laneReady` at once, or later, or `laneFailed`; exactly one of them unless cancelled. */
  acquire(groupId: string, waiter: LaneWaiter): void;
  /** The waiter gave up: nothing will be called. */
  cancel(groupId: string, waiter: LaneWaiter): void;
}
