import type { RequestHead } from "../protocol/heads.ts";
import type { Backlog } from "./backlog.ts";
import type { CreditBudget } from "./credit_budget.ts";
import type { FlushQueue } from "./flush_queue.ts";
import type { Lane } from "./lane.ts";

/** Who has lanes: a tunnel, on either side. */
export interface LaneOwner {
  readonly budget: CreditBudget;
  readonly flushes: FlushQueue;
  readonly backlog: Backlog;
  /** Round trip of the tunnel's path, milliseconds. */
  readonly roundTripMs: number;
  /** Milliseconds of a monotonic clock, refreshed at least once a turn of the event loop. */
  now(): number;
  /** Bytes came in on the lane. */
  received(bytes: number, lane: Lane): void;
  /** Connector's side only: an exchange begins. Call `lane.accept` at once, before anything else. */
  begun(lane: Lane, head: RequestHead): void;
  /** The exchange on the lane has moved more than `BULK_BYTES`; at most once an exchange. */
  becameBulk?(lane: Lane): void;
  /**
   * Both directions have ended: the lane can carry the next exchange. `isBulk` still tells of the one that has ended.
   * `isAnswer`: the peer has ended its direction just now, and not because we had given the exchange up.
   */
  idle(lane: Lane, isAnswer: boolean): void;
  /** The lane is gone; `wasIdle`: no exchange was on it. `error` is null when it was retired in peace. */
  closed(lane: Lane, error: Error | null, wasIdle: boolean): void;
}
