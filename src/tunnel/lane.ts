import type { Duplex } from "node:stream";
import { ProtocolError } from "../protocol/errors.ts";
import { FRAME, type FrameKind, TOWARDS_BROKER, TOWARDS_CONNECTOR } from "../protocol/frame.ts";
import { FrameReader, type FrameSink } from "../protocol/frame_reader.ts";
import {
  type Abort,
  encodeAbort,
  encodeCredit,
  encodeEnd,
  encodeInformational,
  encodeResponse,
  type HeaderList,
  type InformationalHead,
  parseAbort,
  parseEnd,
  parseInformational,
  parseRequest,
  parseResponse,
  type RequestHead,
  type ResponseHead,
} from "../protocol/heads.ts";
import { ABORT_ANSWER_MS, MAX_EXCHANGE, MAX_INFORMATIONAL } from "../protocol/limits.ts";
import { type CreditBudget, Inflow } from "./credit_budget.ts";
import { ControlError } from "./errors.ts";
import type { FlushQueue } from "./flush_queue.ts";
import { Outflow } from "./outflow.ts";

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

/** Who has lanes: a tunnel, on either side. */
export interface LaneOwner {
  readonly budget: CreditBudget;
  readonly flushes: FlushQueue;
  /** Round trip of the tunnel's path, milliseconds. */
  readonly roundTripMs: number;
  /** Milliseconds of a monotonic clock, refreshed at least once a turn of the event loop. */
  now(): number;
  /** Bytes came in on a lane. */
  received(bytes: number): void;
  /** Connector's side only: an exchange begins. Call `lane.accept` at once, before anything else. */
  begun(lane: Lane, head: RequestHead): void;
  /** The exchange on the lane has moved more than `BULK_BYTES`; at most once an exchange. */
  becameBulk?(lane: Lane): void;
  /** Both directions have ended: the lane can carry the next exchange. `isBulk` still tells of the one that has ended. */
  idle(lane: Lane): void;
  /** The lane is gone; `wasIdle`: no exchange was on it. `error` is null when it was retired in peace. */
  closed(lane: Lane, error: Error | null, wasIdle: boolean): void;
}

/** An exchange that has moved more than this is not a short one. */
export const BULK_BYTES = 1 << 20;

/** Which end of the tunnel this lane end is at. */
export type LaneSide = "broker" | "connector";

const LOST: Abort = { code: "tunnel_lost", begun: true };
const ANSWER: Abort = { code: "aborted", begun: true };
const TOO_LARGE: Abort = { code: "head_too_large", begun: true };
/** More credit than this at once is a lie. */
const MOST_CREDIT = 0x7fff_ffff;

/**
 * One end of a lane: carries exchanges, one at a time, over an HTTP/2 stream whose both bodies stay open
 * (docs/protocol.md, "The life of an exchange"). Aborts go in band; the stream itself is destroyed only when the
 * contract is broken or the peer does not answer.
 */
export class Lane implements FrameSink {
  readonly side: LaneSide;
  readonly #stream: Duplex;
  readonly #owner: LaneOwner;
  readonly #reader: FrameReader;
  readonly #inflow: Inflow;
  readonly #outflow: Outflow;
  readonly #lastExchange: number;
  #life: "open" | "closed" = "open";
  /** Our direction: `ending` has everything but its last bytes, which wait for credit. */
  #sending: "open" | "ending" | "ended" = "ended";
  /** The peer's direction; `closing` while the handler is told of its end, so that what it does then cannot end the exchange twice. */
  #receiving: "head" | "body" | "closing" | "ended" = "ended";
  /** Who takes part; null between exchanges and once we have aborted. */
  #handler: ExchangeHandler | null = null;
  #exchange = 0;
  #trailers: HeaderList = [];
  /** 1xx heads of this exchange. */
  #informationals = 0;
  /** Body bytes of this exchange, both ways. */
  #moved = 0;
  #answerTimer: NodeJS.Timeout | null = null;

  /** `lastExchange`: after the exchange of this number the broker retires the lane. */
  constructor(stream: Duplex, side: LaneSide, owner: LaneOwner, lastExchange: number = MAX_EXCHANGE) {
    this.side = side;
    this.#lastExchange = lastExchange;
    this.#stream = stream;
    this.#owner = owner;
    this.#inflow = new Inflow(owner.budget);
    this.#outflow = new Outflow(stream, owner.flushes);
    this.#reader = new FrameReader(side === "broker" ? TOWARDS_BROKER : TOWARDS_CONNECTOR, this);
    stream.on("data", (chunk: Buffer) => this.#read(chunk));
    stream.on("drain", () => this.#drained());
    stream.on("end", () => this.#ended());
    stream.on("error", (error) => this.#close(error));
    stream.on("close", () => this.#cut());
  }

  /** True when it can carry a new exchange. */
  get isIdle(): boolean {
    return this.#life === "open" && this.#sending === "ended" && this.#receiving === "ended";
  }

  /** True until the lane is gone. */
  get isOpen(): boolean {
    return this.#life === "open";
  }

  /** Number of the current exchange, or of the last one. */
  get exchange(): number {
    return this.#exchange;
  }

  /** True when the current exchange, or the last one, has moved more than a short one does. */
  get isBulk(): boolean {
    return this.#moved > BULK_BYTES;
  }

  /** True while our direction of the exchange can still take data. */
  get isSending(): boolean {
    return this.#sending === "open";
  }

  /** Broker's side: starts an exchange with an encoded request frame, which is changed in place. */
  begin(frame: Buffer, follows: RequestHead["follows"], handler: ExchangeHandler): void {
    if (!this.isIdle) throw new Error("Cannot begin exchange: lane is not idle");
    this.#exchange += 1;
    frame.writeUInt32BE(this.#exchange, 4);
    this.#open(handler, follows === "nothing" ? "ended" : "open", "head");
    if (follows === "nothing") this.#outflow.write(frame);
    else this.#outflow.join(frame);
  }

  /** Connector's side: who takes part in the exchange that has just begun. */
  accept(handler: ExchangeHandler): void {
    this.#handler = handler;
  }

  /** Connector's side: a 1xx response other than 101. Dropped when it is too large or one too many: it is only advice. */
  sendInformational(head: InformationalHead): void {
    if (this.#sending !== "open" || this.#informationals >= MAX_INFORMATIONAL) return;
    let frame: Buffer;
    try {
      frame = encodeInformational(this.#exchange, head);
    } catch {
      return;
    }
    this.#informationals += 1;
    this.#outflow.write(frame);
  }

  /** Connector's side: the final head; with `hasBody` false, our direction ends. */
  sendResponse(head: ResponseHead): void {
    if (this.#sending !== "open") return;
    let frame: Buffer;
    try {
      frame = encodeResponse(this.#exchange, head);
    } catch {
      return this.#tooLarge();
    }
    if (head.hasBody) return this.#outflow.join(frame);
    this.#outflow.write(frame);
    this.#endSending();
  }

  /** Body bytes; they are kept as they are and must not change. False: send no more until `writable`. */
  sendData(bytes: Buffer): boolean {
    if (this.#sending !== "open") return false;
    this.#move(bytes.length);
    return this.#outflow.data(this.#exchange, bytes);
  }

  /** Ends our direction once all data is out. */
  sendEnd(trailers: HeaderList): void {
    if (this.#sending !== "open") return;
    if (this.#outflow.holds) {
      this.#sending = "ending";
      this.#trailers = trailers;
      return;
    }
    let frame: Buffer;
    try {
      frame = encodeEnd(this.#exchange, trailers);
    } catch {
      return this.#tooLarge();
    }
    this.#outflow.write(frame);
    this.#endSending();
  }

  /** Ends the exchange now, both ways; the handler hears nothing more. Does nothing when it is over already. */
  abort(reason: Abort): void {
    if (this.#handler === null) return;
    this.#handler = null;
    this.#sending = "ended";
    this.#outflow.drop();
    this.#outflow.write(encodeAbort(this.#exchange, reason));
    if (this.#receiving === "ended") return this.#finish();
    if (this.#receiving === "closing") return;
    this.#answerTimer = setTimeout(
      () => this.destroy(new ProtocolError(`Cannot reuse lane: no answer to abort in ${ABORT_ANSWER_MS} ms`)),
      ABORT_ANSWER_MS,
    );
  }

  /** Received bytes were passed on: their sender gets new credit. */
  consumed(bytes: number): void {
    if (this.#receiving !== "body") return;
    const grant = this.#inflow.consumed(bytes, this.#owner.now(), this.#owner.roundTripMs);
    if (grant > 0) this.#outflow.write(encodeCredit(this.#exchange, grant));
  }

  /** Broker's side: gives up an idle lane in peace. */
  retire(): void {
    if (!this.isIdle) throw new Error("Cannot retire lane: it is in use");
    this.#leave(true);
  }

  /** Tells who takes part that nothing gets through. */
  stall(): void {
    this.#handler?.stalled?.();
  }

  /** Tells who takes part that the time has come to leave. */
  drain(): void {
    this.#handler?.draining?.();
  }

  /** Ends the lane at once; an exchange on it is lost. */
  destroy(error: Error): void {
    this.#close(error);
  }

  frame(kind: FrameKind, exchange: number, payload: Buffer): void {
    if (this.#life === "closed") return;
    if (kind === FRAME.request) return this.#request(exchange, payload);
    const mayBeLate = kind === FRAME.abort || kind === FRAME.credit;
    if (exchange !== this.#exchange) {
      // The connector may have sent it before it saw that we had ended our direction; by now we have begun the next.
      if (mayBeLate && this.side === "broker" && exchange === this.#exchange - 1) return;
      this.#refuse(`exchange ${exchange} is not the current one`);
    }
    if (this.isIdle) {
      if (mayBeLate) return;
      this.#refuse(`frame of kind ${kind} on an idle lane`);
    }
    if (kind === FRAME.credit) return this.#credited(payload.readUInt32BE(0));
    if (kind === FRAME.abort) return this.#aborted(parseAbort(payload));
    if (kind === FRAME.end) return this.#peerEnded(parseEnd(payload));
    if (this.#receiving !== "head") this.#refuse(`frame of kind ${kind} after the head`);
    if (kind === FRAME.informational) {
      const head = parseInformational(payload);
      if (++this.#informationals > MAX_INFORMATIONAL) this.#refuse("too many informational responses");
      this.#handler?.informational(head);
      return;
    }
    this.#responded(parseResponse(payload));
  }

  data(exchange: number, bytes: Buffer): void {
    if (this.#life === "closed") return;
    if (exchange !== this.#exchange) this.#refuse(`exchange ${exchange} is not the current one`);
    if (this.#receiving !== "body") this.#refuse("data outside of a body");
    if (!this.#inflow.arrived(bytes.length)) this.#refuse("more data than credit");
    this.#move(bytes.length);
    if (this.#handler !== null) this.#handler.data(bytes);
    else this.#answerTimer?.refresh(); // What was under way comes before the answer; credit bounds it.
  }

  #request(exchange: number, payload: Buffer): void {
    if (!this.isIdle) this.#refuse("request on a busy lane");
    if (exchange !== this.#exchange + 1) {
      this.#refuse(`request has number ${exchange}, not ${this.#exchange + 1}`);
    }
    const head = parseRequest(payload);
    this.#exchange = exchange;
    this.#open(null, "open", head.follows === "nothing" ? "ended" : "body");
    this.#owner.begun(this, head);
  }

  #responded(head: ResponseHead): void {
    this.#receiving = head.hasBody ? "body" : "closing";
    this.#handler?.response(head);
    if (!head.hasBody) this.#endReceiving();
  }

  #peerEnded(trailers: HeaderList): void {
    if (this.#receiving !== "body") this.#refuse("end outside of a body");
    const handler = this.#handler;
    this.#receiving = "closing";
    if (handler !== null) handler.end(trailers, this.#inflow.close());
    this.#endReceiving();
  }

  #aborted(reason: Abort): void {
    const handler = this.#handler;
    this.#handler = null;
    const answer = this.#sending !== "ended";
    this.#sending = "ended";
    this.#receiving = "closing";
    this.#outflow.drop();
    if (answer) this.#outflow.write(encodeAbort(this.#exchange, ANSWER));
    handler?.abort(reason);
    this.#endReceiving();
  }

  #open(
    handler: ExchangeHandler | null,
    sending: "open" | "ended",
    receiving: "head" | "body" | "ended",
  ): void {
    this.#handler = handler;
    this.#sending = sending;
    this.#receiving = receiving;
    this.#outflow.open();
    this.#moved = 0;
    this.#informationals = 0;
    if (receiving !== "ended") this.#inflow.open(this.#owner.now());
  }

  #credited(bytes: number): void {
    if (this.#sending === "ended") return;
    this.#outflow.grant(bytes);
    if (this.#outflow.credit > MOST_CREDIT) this.#refuse("credit beyond measure");
    this.#drained();
  }

  /** Credit or room in the stream came: sends what is held, then asks for more. */
  #drained(): void {
    if (this.#sending === "ended") return;
    if (!this.#outflow.sendHeld(this.#exchange)) return;
    if (this.#sending === "ending") {
      this.#sending = "open";
      this.sendEnd(this.#trailers);
    } else if (this.#outflow.hasRoom) {
      this.#handler?.writable();
    }
  }

  #move(bytes: number): void {
    const before = this.#moved;
    this.#moved = before + bytes;
    if (before <= BULK_BYTES && this.#moved > BULK_BYTES) this.#owner.becameBulk?.(this);
  }

  #endSending(): void {
    this.#sending = "ended";
    if (this.#receiving === "ended") this.#finish();
  }

  #endReceiving(): void {
    if (this.#life === "closed") return;
    this.#receiving = "ended";
    if (this.#sending === "ended") this.#finish();
  }

  /** Both directions have ended. */
  #finish(): void {
    this.#handler = null;
    this.#stopTimer();
    const unread = this.#inflow.close();
    if (unread > 0) this.#owner.budget.give(unread);
    if (this.#exchange >= this.#lastExchange && this.side === "broker") return this.#leave(false);
    this.#owner.idle(this);
  }

  /** What we were to send is over the limit of a frame: nothing of it is sent, and the exchange ends here for both. */
  #tooLarge(): void {
    const exchange = this.#exchange;
    this.#handler?.abort(TOO_LARGE);
    if (this.#exchange === exchange) this.abort(TOO_LARGE);
  }

  #read(chunk: Buffer): void {
    if (this.#life === "closed") return;
    this.#owner.received(chunk.length);
    try {
      this.#reader.push(chunk);
    } catch (error) {
      this.#close(error as Error);
    }
  }

  #ended(): void {
    if (this.#life === "closed") return;
    if (!this.isIdle || !this.#reader.atBoundary) {
      return this.#close(new ProtocolError("Cannot continue exchange: peer ended its lane"));
    }
    this.#leave(true);
  }

  /** Ends the stream in peace. */
  #leave(wasIdle: boolean): void {
    this.#life = "closed";
    this.#stream.end();
    this.#owner.closed(this, null, wasIdle);
  }

  /** The stream closed without a word: with its session, or reset. */
  #cut(): void {
    if (this.#life === "closed") return;
    this.#close(new ControlError("control_closed", "Cannot use lane: tunnel was cut", { retryable: true }));
  }

  #close(error: Error | null): void {
    if (this.#life === "closed") return;
    const wasIdle = this.isIdle;
    this.#life = "closed";
    this.#stopTimer();
    const handler = this.#handler;
    this.#handler = null;
    this.#sending = "ended";
    this.#receiving = "ended";
    this.#outflow.drop();
    const unread = this.#inflow.close();
    if (unread > 0) this.#owner.budget.give(unread);
    if (!this.#stream.destroyed) this.#stream.destroy(error ?? undefined);
    handler?.abort(LOST);
    this.#owner.closed(this, error, wasIdle);
  }

  #refuse(why: string): never {
    throw new ProtocolError(`Cannot accept frame: ${why}`);
  }

  #stopTimer(): void {
    if (this.#answerTimer === null) return;
    clearTimeout(this.#answerTimer);
    this.#answerTimer = null;
  }
}
