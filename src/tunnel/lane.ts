import type { Duplex } from "node:stream";
import { ProtocolError } from "../protocol/errors.ts";
import { FRAME, type FrameKind, TOWARDS_BROKER, TOWARDS_CONNECTOR } from "../protocol/frame.ts";
import { FrameReader, type FrameSink } from "../protocol/frame_reader.ts";
import {
  type Abort,
  encodeAbort,
  encodeCredit,
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
import { ABORT_ANSWER_MS, MAX_EXCHANGE } from "../protocol/limits.ts";
import type { BacklogWaiter } from "./backlog.ts";
import { ControlError } from "./errors.ts";
import type { ExchangeHandler } from "./exchange_handler.ts";
import { FrameWriter } from "./frame_writer.ts";
import { Inflow } from "./inflow.ts";
import type { LaneOwner } from "./lane_owner.ts";
import { Outflow } from "./outflow.ts";

/** An exchange that has moved more than this is not a short one. */
export const BULK_BYTES = 1 << 20;

/** Which end of the tunnel this lane end is at. */
export type LaneSide = "broker" | "connector";

const LOST: Abort = { code: "tunnel_lost", begun: true };
const ANSWER: Abort = { code: "aborted", begun: true };
const TOO_LARGE: Abort = { code: "head_too_large", begun: true };

/**
 * One end of a lane: carries exchanges, one at a time, over an HTTP/2 stream whose both bodies stay open
 * (docs/protocol.md, "The life of an exchange"). Aborts go in band; the stream itself is destroyed only when the
 * contract is broken or the peer does not answer.
 */
export class Lane implements FrameSink, BacklogWaiter {
  readonly side: LaneSide;
  readonly #stream: Duplex;
  readonly #owner: LaneOwner;
  readonly #reader: FrameReader;
  readonly #writer: FrameWriter;
  /** The peer's direction of the exchange. */
  readonly #inflow: Inflow;
  /** Our direction. */
  readonly #outflow: Outflow;
  readonly #lastExchange: number;
  #life: "open" | "closed" = "open";
  /** Who takes part; null between exchanges and once we have aborted. */
  #handler: ExchangeHandler | null = null;
  #exchange = 0;
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
    this.#writer = new FrameWriter(stream, owner.flushes, owner.backlog, this);
    this.#outflow = new Outflow(this.#writer);
    this.#reader = new FrameReader(side === "broker" ? TOWARDS_BROKER : TOWARDS_CONNECTOR, this);
    stream.on("data", (chunk: Buffer) => this.#read(chunk));
    stream.on("drain", () => this.#drained());
    stream.on("end", () => this.#ended());
    stream.on("error", (error) => this.#close(error));
    stream.on("close", () => this.#cut());
  }

  /** True when it can carry a new exchange. */
  get isIdle(): boolean {
    return this.#life === "open" && this.#outflow.hasEnded && this.#inflow.hasEnded;
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

  /** True until the peer has let go of an exchange that we have aborted. */
  get isGivenUp(): boolean {
    return this.#answerTimer !== null;
  }

  /** True while our direction of the exchange can still take data. */
  get isSending(): boolean {
    return this.#outflow.isOpen;
  }

  /** Broker's side: starts an exchange with an encoded request frame, which is changed in place. */
  begin(frame: Buffer, follows: RequestHead["follows"], handler: ExchangeHandler): void {
    if (!this.isIdle) throw new Error("Cannot begin exchange: lane is not idle");
    this.#exchange += 1;
    frame.writeUInt32BE(this.#exchange, 4);
    this.#open(handler, follows === "nothing");
    this.#inflow.open("head", this.#owner.now());
    if (follows === "nothing") this.#writer.write(frame);
    else this.#writer.join(frame);
  }

  /** Connector's side: who takes part in the exchange that has just begun. */
  accept(handler: ExchangeHandler): void {
    this.#handler = handler;
  }

  /** Connector's side: a 1xx response other than 101. Dropped when it is too large or one too many: it is only advice. */
  sendInformational(head: InformationalHead): void {
    if (this.#outflow.isOpen) this.#outflow.informational(head);
  }

  /** Connector's side: the final head; with `hasBody` false, our direction ends. */
  sendResponse(head: ResponseHead): void {
    if (!this.#outflow.isOpen) return;
    if (this.#outflow.response(head)) this.#sent();
    else this.#tooLarge();
  }

  /** Body bytes; they are kept as they are and must not change. False: send no more until `writable`. */
  sendData(bytes: Buffer): boolean {
    if (!this.#outflow.isOpen) return false;
    this.#move(bytes.length);
    return this.#outflow.data(bytes);
  }

  /** Ends our direction once all data is out. */
  sendEnd(trailers: HeaderList): void {
    if (!this.#outflow.isOpen) return;
    if (this.#outflow.end(trailers)) this.#sent();
    else this.#tooLarge();
  }

  /** Ends the exchange now, both ways; the handler hears nothing more. Does nothing when it is over already. */
  abort(reason: Abort): void {
    if (this.#handler === null) return;
    this.#handler = null;
    this.#outflow.stop();
    this.#writer.write(encodeAbort(this.#exchange, reason));
    if (this.#inflow.hasEnded) return this.#finish(false);
    if (this.#inflow.isClosing) return;
    this.#answerTimer = setTimeout(
      () => this.destroy(new ProtocolError(`Cannot reuse lane: no answer to abort in ${ABORT_ANSWER_MS} ms`)),
      ABORT_ANSWER_MS,
    );
  }

  /** Received bytes were passed on: their sender gets new credit. */
  consumed(bytes: number): void {
    const grant = this.#inflow.consumed(bytes, this.#owner.now(), this.#owner.roundTripMs);
    if (grant > 0) this.#writer.write(encodeCredit(this.#exchange, grant));
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

  roomAgain(): void {
    this.#drained();
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
    if (kind === FRAME.response) return this.#responded(parseResponse(payload));
    this.#inflow.informational();
    this.#handler?.informational(parseInformational(payload));
  }

  data(exchange: number, bytes: Buffer): void {
    if (this.#life === "closed") return;
    if (exchange !== this.#exchange) this.#refuse(`exchange ${exchange} is not the current one`);
    this.#inflow.arrived(bytes.length);
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
    this.#open(null, false);
    if (head.follows !== "nothing") this.#inflow.open("body", this.#owner.now());
    this.#owner.begun(this, head);
  }

  #responded(head: ResponseHead): void {
    this.#inflow.head(head.hasBody);
    this.#handler?.response(head);
    if (!head.hasBody) this.#endReceiving();
  }

  #peerEnded(trailers: HeaderList): void {
    const handler = this.#handler;
    this.#inflow.end();
    if (handler !== null) handler.end(trailers, this.#inflow.release());
    this.#endReceiving();
  }

  #aborted(reason: Abort): void {
    const handler = this.#handler;
    this.#handler = null;
    const answer = !this.#outflow.hasEnded;
    this.#outflow.stop();
    this.#inflow.abort();
    if (answer) this.#writer.write(encodeAbort(this.#exchange, ANSWER));
    handler?.abort(reason);
    this.#endReceiving();
  }

  #open(handler: ExchangeHandler | null, nothingToSend: boolean): void {
    this.#handler = handler;
    this.#outflow.open(this.#exchange, nothingToSend);
    this.#moved = 0;
  }

  #credited(bytes: number): void {
    if (this.#outflow.hasEnded) return;
    if (!this.#outflow.grant(bytes)) this.#refuse("credit beyond measure");
    this.#drained();
  }

  /** Credit, or room in the stream or the tunnel, came: sends what is held, then asks for more. */
  #drained(): void {
    const outflow = this.#outflow;
    if (outflow.hasEnded || !outflow.sendHeld()) return;
    if (!outflow.isOpen) {
      if (outflow.sendHeldEnd()) this.#sent();
      else this.#tooLarge();
    } else if (outflow.hasRoomElseWait()) {
      this.#handler?.writable();
    }
  }

  #move(bytes: number): void {
    const before = this.#moved;
    this.#moved = before + bytes;
    if (before <= BULK_BYTES && this.#moved > BULK_BYTES) this.#owner.becameBulk?.(this);
  }

  /** Our direction may have ended. */
  #sent(): void {
    if (this.#outflow.hasEnded && this.#inflow.hasEnded) this.#finish(false);
  }

  #endReceiving(): void {
    if (this.#life === "closed") return;
    this.#inflow.close();
    if (this.#outflow.hasEnded) this.#finish(this.#answerTimer === null);
  }

  /** Both directions have ended; `isAnswer`: the peer's just now, and not for an abort of ours. */
  #finish(isAnswer: boolean): void {
    this.#handler = null;
    this.#stopTimer();
    const unread = this.#inflow.release();
    if (unread > 0) this.#owner.budget.give(unread);
    if (this.#exchange >= this.#lastExchange && this.side === "broker") return this.#leave(false);
    this.#owner.idle(this, isAnswer);
  }

  /** What we were to send is over the limit of a frame: nothing of it is sent, and the exchange ends here for both. */
  #tooLarge(): void {
    const exchange = this.#exchange;
    this.#handler?.abort(TOO_LARGE);
    if (this.#exchange === exchange) this.abort(TOO_LARGE);
  }

  #read(chunk: Buffer): void {
    if (this.#life === "closed") return;
    this.#owner.received(chunk.length, this);
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
    this.#writer.end();
    this.#stream.end();
    this.#owner.closed(this, null, wasIdle);
  }

  /** The stream closed; where nobody has ended it before, with its session or by a reset. */
  #cut(): void {
    if (this.#life === "closed") return this.#writer.close();
    this.#close(new ControlError("control_closed", "Cannot use lane: tunnel was cut", { retryable: true }));
  }

  #close(error: Error | null): void {
    if (this.#life === "closed") return;
    const wasIdle = this.isIdle;
    this.#life = "closed";
    this.#stopTimer();
    const handler = this.#handler;
    this.#handler = null;
    this.#outflow.stop();
    this.#inflow.close();
    const unread = this.#inflow.release();
    if (unread > 0) this.#owner.budget.give(unread);
    if (!this.#stream.destroyed) this.#stream.destroy(error ?? undefined);
    handler?.abort(LOST);
    this.#owner.closed(this, error, wasIdle);
    this.#writer.close(); // Others go on within this call: they find this lane gone.
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
