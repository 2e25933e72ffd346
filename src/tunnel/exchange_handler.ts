import type { Abort, HeaderList, InformationalHead, ResponseHead } from "../protocol/heads.ts";

/**
 * Who takes part in one exchange, on either side. After `end` of both directions, or `abort`, no further call comes, and
 * the handler makes none: the lane may carry the next exchange already, which a late `abort` or `consumed` would hit.
 */
export interface ExchangeHandler {
  /** Broker's side only. */
  informational(head: InformationalHead): void;
  /** Broker's side only: the final head; if it has no body, the peer's direction has ended. */
  response(head: ResponseHead): void;
  /** Bytes of the peer's body. Say `consumed` once they are passed on. */
  data(bytes: Buffer): void;
  /** The peer's direction ended well. `unread` bytes of it were not said to be consumed: give them to the budget later. */
  end(trailers: HeaderList, unread: number): void;
  /**
   * The exchange is over before its time: the peer aborted it, the lane was lost (`tunnel_lost`), or what we were to send
   * does not fit into a frame (`head_too_large`; told within the call that sends it). What is unread counts no longer.
   */
  abort(reason: Abort): void;
  /** More may be sent, after `sendData` returned false; comes now and then without that, too. */
  writable(): void;
  /** Nothing gets through the tunnel any more, as far as one can tell: who can do without this lane should. */
  stalled?(): void;
  /** The other side of the tunnel, or this one, is about to stop: who would stay for long should leave. */
  draining?(): void;
}
