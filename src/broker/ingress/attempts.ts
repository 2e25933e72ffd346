import type { Abort, HeaderList, RequestHead } from "../../protocol/heads.ts";
import type { ExchangeHandler } from "../../tunnel/exchange_handler.ts";
import type { LanePort } from "../registry/port.ts";
import { isExhausted, isOutOfReach } from "./answer_codes.ts";
import type { KeptBodies } from "./kept_bodies.ts";

/** Times that one request is sent at most, the first included. */
const MOST_ATTEMPTS = 4;
/** A request body is kept to be sent again up to this many bytes. */
const KEPT_BYTES = 65_536;
/** Methods that do no more harm when they are done twice (RFC 9110 section 9.2.2). */
const IDEMPOTENT: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);
/** What ends an exchange for reasons that are not the backend's. */
const NOT_THE_BACKEND: ReadonlySet<string> = new Set(["tunnel_lost", "stalled"]);

/** What it costs to keep a piece, however small, bytes: many small ones are not kept. */
const PIECE_COST = 128;

const NONE: readonly string[] = [];

/** A request until its response begins: kept whole where it is small, so that it can be sent again. */
export class Attempts {
  readonly #frame: Buffer;
  readonly #follows: RequestHead["follows"];
  readonly #isIdempotent: boolean;
  readonly #room: KeptBodies;
  #count = 0;
  #tried: string[] | null = null;
  /** What has come of the body; null when that was more than is kept. */
  #body: Buffer[] | null = null;
  #bodyBytes = 0;
  #trailers: HeaderList | null = null;
  #isTooLarge = false;
  /** Until it is sent again. */
  #timer: NodeJS.Timeout | null = null;

  /** `frame`: the encoded request. */
  constructor(frame: Buffer, method: string, follows: RequestHead["follows"], room: KeptBodies) {
    this.#frame = frame;
    this.#room = room;
    this.#follows = follows;
    this.#isIdempotent = IDEMPOTENT.has(method);
  }

  /** Connectors on which it has failed. */
  get tried(): readonly string[] {
    return this.#tried ?? NONE;
  }

  /** How often it was sent. */
  get count(): number {
    return this.#count;
  }

  /** True when the whole body has come. */
  get hasEnded(): boolean {
    return this.#trailers !== null;
  }

  /** True when it can be sent again from its beginning. */
  get isWhole(): boolean {
    return !this.#isTooLarge;
  }

  /** Sends the request on a lane, with what is there of its body. */
  send(lane: LanePort, handler: ExchangeHandler): void {
    this.#count += 1;
    // The first lane may still hold the frame, which each lane numbers for itself.
    lane.begin(this.#count === 1 ? this.#frame : Buffer.from(this.#frame), this.#follows, handler);
    if (this.#body !== null) { for (const bytes of this.#body) lane.sendData(bytes); }
    if (this.#trailers !== null) lane.sendEnd(this.#trailers);
  }

  /** Bytes of the body have come. */
  keep(bytes: Buffer): void {
    if (this.#isTooLarge) return;
    const cost = bytes.length + PIECE_COST;
    if (this.#bodyBytes + cost > KEPT_BYTES || this.#follows === "upgrade" || !this.#room.take(cost)) {
      this.#isTooLarge = true;
      return this.letGo();
    }
    this.#bodyBytes += cost;
    if (this.#body === null) this.#body = [bytes];
    else this.#body.push(bytes);
  }

  /** Calls `again` after so many milliseconds, unless it is let go of before. */
  wait(ms: number, again: () => void): void {
    this.#timer = setTimeout(again, ms);
  }

  /** It will not be sent again: what was kept of the body is needed no longer. */
  letGo(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#bodyBytes > 0) this.#room.give(this.#bodyBytes);
    this.#bodyBytes = 0;
    this.#body = null;
  }

  /** The body has ended. */
  keepEnd(trailers: HeaderList): void {
    this.#trailers = trailers;
  }

  /**
   * Whether the request may be sent again, now that it has ended on `connectorId` for this reason: always when the
   * backend has certainly not seen it, else when doing it twice does no harm and it was not the backend that ended it: a
   * tunnel was lost, or the connector could not get through to the backend a second time.
   */
  mayRepeat(reason: Abort): boolean {
    if (this.#count >= MOST_ATTEMPTS || this.#isTooLarge) return false;
    if (!reason.begun) return true;
    if (!this.#isIdempotent || this.#follows === "upgrade") return false;
    return NOT_THE_BACKEND.has(reason.code) || isOutOfReach(reason) || isExhausted(reason);
  }

  /** It has failed there. */
  failedOn(connectorId: string): void {
    if (this.#tried === null) this.#tried = [connectorId];
    else if (!this.#tried.includes(connectorId)) this.#tried.push(connectorId);
  }
}
