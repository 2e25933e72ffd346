import type { Duplex } from "node:stream";
import { FRAME, frameHeader } from "../protocol/frame.ts";
import { INITIAL_CREDIT, MAX_DATA_BYTES } from "../protocol/limits.ts";
import type { Flushable, FlushQueue } from "./flush_queue.ts";

/** Frames that leave together and are no more than this are copied into one piece: cheaper than a write of many. */
const COPY_BYTES = 4_096;

/** What one end of a lane writes: frames that belong together in one write, and data as far as there is credit for it. */
export class Outflow implements Flushable {
  readonly #stream: Duplex;
  readonly #flushes: FlushQueue;
  /** Frames, or pieces of them, that leave with what follows. */
  #joined: Buffer[] = [];
  #joinedBytes = 0;
  #isQueued = false;
  #credit = 0;
  /** Data that came before there was credit for it; bounded by the answer of `data` being heeded. */
  #held: Buffer[] = [];

  constructor(stream: Duplex, flushes: FlushQueue) {
    this.#stream = stream;
    this.#flushes = flushes;
  }

  /** True while data waits for credit or for room in the stream. */
  get holds(): boolean {
    return this.#held.length > 0;
  }

  /** Bytes of data for which there is credit. */
  get credit(): number {
    return this.#credit;
  }

  /** True when data can be sent now. */
  get hasRoom(): boolean {
    return this.#credit > 0 && this.#joinedBytes < this.#stream.writableHighWaterMark &&
      !this.#stream.writableNeedDrain;
  }

  /** A new exchange begins to send. */
  open(): void {
    this.#credit = INITIAL_CREDIT;
  }

  /** The peer takes `bytes` more. */
  grant(bytes: number): void {
    this.#credit += bytes;
  }

  /** Drops what is held: it is not wanted any more. */
  drop(): void {
    this.#held.length = 0;
  }

  /** A frame that is followed by others within the same callback. */
  join(frame: Buffer): void {
    this.#joined.push(frame);
    this.#joinedBytes += frame.length;
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.#flushes.add(this);
  }

  /** A frame that leaves at once, after what was joined before it. */
  write(frame: Buffer): void {
    if (this.#joined.length === 0) {
      this.#stream.write(frame);
      return;
    }
    this.#joined.push(frame);
    this.#joinedBytes += frame.length;
    this.#send();
  }

  /** Body bytes; they are kept as they are and must not change. False: send no more until there is room. */
  data(exchange: number, bytes: Buffer): boolean {
    if (this.#held.length > 0) {
      this.#held.push(bytes);
      return false;
    }
    return this.#data(exchange, bytes);
  }

  /** Sends of what is held what can be sent now. True: nothing is left. */
  sendHeld(exchange: number): boolean {
    while (this.#held.length > 0) {
      if (!this.hasRoom) return false;
      this.#data(exchange, this.#held.shift()!);
    }
    return true;
  }

  flush(): void {
    this.#isQueued = false;
    if (this.#joined.length > 0) this.#send();
  }

  /** Joins as much as there is credit for, holds the rest in front of what is held. */
  #data(exchange: number, bytes: Buffer): boolean {
    const allowed = Math.min(bytes.length, this.#credit);
    for (let at = 0; at < allowed;) {
      const length = Math.min(allowed - at, MAX_DATA_BYTES);
      this.join(frameHeader(FRAME.data, length, exchange));
      this.join(length === bytes.length ? bytes : bytes.subarray(at, at + length));
      at += length;
    }
    this.#credit -= allowed;
    if (allowed < bytes.length) this.#held.unshift(bytes.subarray(allowed));
    return this.hasRoom;
  }

  /** Writes what is joined. */
  #send(): void {
    const joined = this.#joined;
    if (this.#joinedBytes <= COPY_BYTES) {
      this.#stream.write(joined.length === 1 ? joined[0]! : copied(joined, this.#joinedBytes));
    } else {
      this.#stream.cork();
      for (let i = 0; i < joined.length; i++) this.#stream.write(joined[i]!);
      this.#stream.uncork();
    }
    joined.length = 0;
    this.#joinedBytes = 0;
  }
}

function copied(pieces: readonly Buffer[], length: number): Buffer {
  const whole = Buffer.allocUnsafe(length);
  let at = 0;
  for (let i = 0; i < pieces.length; i++) {
    const piece = pieces[i]!;
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
