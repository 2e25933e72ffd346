import { FRAME, frameHeader } from "../protocol/frame.ts";
import {
  encodeEnd,
  encodeInformational,
  encodeResponse,
  type HeaderList,
  type InformationalHead,
  type ResponseHead,
} from "../protocol/heads.ts";
import { INITIAL_CREDIT, LEAST_CREDIT, MAX_DATA_BYTES, MAX_INFORMATIONAL } from "../protocol/limits.ts";
import type { FrameWriter } from "./frame_writer.ts";

/** More credit than this at once is a lie. */
const MOST_CREDIT = 0x7fff_ffff;

/** Our direction of the exchange on a lane: what is sent in which order, and data as far as there is credit for it. */
export class Outflow {
  readonly #writer: FrameWriter;
  /** `ending` has everything but its last bytes, which wait for credit. */
  #state: "open" | "ending" | "ended" = "ended";
  #exchange = 0;
  #informationals = 0;
  #credit = 0;
  /** Bytes of the piece that came last: what comes next is taken to be like it. */
  #pieceBytes = 0;
  /** Data that came before there was credit for it; bounded by the answer of `data` being heeded. */
  #held: Buffer[] = [];
  #trailers: HeaderList = [];

  constructor(writer: FrameWriter) {
    this.#writer = writer;
  }

  /** True while it takes what is to be sent. */
  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** True when all is out, or nothing more is wanted. */
  get hasEnded(): boolean {
    return this.#state === "ended";
  }

  /** True when more data may come. False: it may when credit comes, the stream drains, or the writer's waiter is told of room. */
  hasRoomElseWait(): boolean {
    return this.#credit >= LEAST_CREDIT && this.#writer.hasRoomElseWait(this.#pieceBytes);
  }

  /** A new exchange begins; `hasEnded`: there is nothing to send beyond its request. */
  open(exchange: number, hasEnded: boolean): void {
    this.#state = hasEnded ? "ended" : "open";
    this.#exchange = exchange;
    this.#credit = INITIAL_CREDIT;
    this.#informationals = 0;
  }

  /** A 1xx head other than 101; dropped when it is too large or one too many: it is only advice. */
  informational(head: InformationalHead): void {
    if (this.#informationals >= MAX_INFORMATIONAL) return;
    let frame: Buffer;
    try {
      frame = encodeInformational(this.#exchange, head);
    } catch {
      return;
    }
    this.#informationals += 1;
    this.#writer.write(frame);
  }

  /** The final head, with which the direction ends where there is no body. False: it does not fit into a frame. */
  response(head: ResponseHead): boolean {
    let frame: Buffer;
    try {
      frame = encodeResponse(this.#exchange, head);
    } catch {
      return false;
    }
    if (head.hasBody) {
      this.#writer.join(frame);
    } else {
      this.#writer.write(frame);
      this.#state = "ended";
    }
    return true;
  }

  /** Body bytes; they are kept as they are and must not change. False: send no more until there is room. */
  data(bytes: Buffer): boolean {
    this.#pieceBytes = bytes.length;
    if (this.#held.length > 0) {
      this.#held.push(bytes);
      return false;
    }
    return this.#data(bytes);
  }

  /** The end of the body; it waits for what is held. False: the trailers do not fit into a frame. */
  end(trailers: HeaderList): boolean {
    if (this.#held.length === 0) return this.#end(trailers);
    this.#state = "ending";
    this.#trailers = trailers;
    return true;
  }

  /** The peer takes `bytes` more. False: that is more than there can be. */
  grant(bytes: number): boolean {
    this.#credit += bytes;
    return this.#credit <= MOST_CREDIT;
  }

  /** Sends of what is held what can be sent now. True: nothing is left. */
  sendHeld(): boolean {
    while (this.#held.length > 0) {
      if (this.#credit === 0 || !this.#writer.hasRoomElseWait(this.#held[0]!.length)) return false;
      this.#data(this.#held.shift()!);
    }
    return true;
  }

  /** Sends the end that waited for what was held. False: the trailers do not fit into a frame. */
  sendHeldEnd(): boolean {
    return this.#end(this.#trailers);
  }

  /** Ends at once: what is held is not wanted any more. */
  stop(): void {
    this.#state = "ended";
    this.#held.length = 0;
  }

  #end(trailers: HeaderList): boolean {
    let frame: Buffer;
    try {
      frame = encodeEnd(this.#exchange, trailers);
    } catch {
      return false;
    }
    this.#writer.write(frame);
    this.#state = "ended";
    return true;
  }

  /** Sends as much as there is credit for, holds the rest in front of what is held. */
  #data(bytes: Buffer): boolean {
    const allowed = Math.min(bytes.length, this.#credit);
    for (let at = 0; at < allowed;) {
      const length = Math.min(allowed - at, MAX_DATA_BYTES);
      this.#writer.join(frameHeader(FRAME.data, length, this.#exchange));
      this.#writer.joinData(length === bytes.length ? bytes : bytes.subarray(at, at + length));
      at += length;
    }
    this.#credit -= allowed;
    if (allowed < bytes.length) this.#held.unshift(bytes.subarray(allowed));
    return this.hasRoomElseWait();
  }
}
