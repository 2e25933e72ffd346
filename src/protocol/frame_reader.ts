import { ProtocolError } from "./errors.ts";
import { FRAME, type FrameKind, type FrameLimits } from "./frame.ts";
import { FRAME_HEADER_BYTES } from "./limits.ts";

/** Where a reader puts what it has read. What these functions throw ends the reading and reaches the caller. */
export interface FrameSink {
  /** A whole frame of any kind but data. `payload` is only valid during the call. */
  frame(kind: FrameKind, exchange: number, payload: Buffer): void;
  /** Bytes of a data frame, as they arrived: the whole or a part, never empty. */
  data(exchange: number, bytes: Buffer): void;
}

const FIRST_ALLOCATION = 4096;

/**
 * Reads frames from bytes cut anywhere. Data bytes are handed through as views of what came in; other payloads are
 * collected only where a cut falls inside one, in memory that grows with what has really arrived.
 */
export class FrameReader {
  readonly #limits: FrameLimits;
  readonly #sink: FrameSink;
  readonly #header = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
  #headerFilled = 0;
  #kind: FrameKind = FRAME.data;
  #exchange = 0;
  /** Payload bytes of the current frame still to come. */
  #missing = 0;
  #collected: Buffer | null = null;
  #collectedLength = 0;

  constructor(limits: FrameLimits, sink: FrameSink) {
    this.#limits = limits;
    this.#sink = sink;
  }

  /** True between frames: the only place where a stream may end. */
  get atBoundary(): boolean {
    return this.#headerFilled === 0;
  }

  /** Takes the next bytes. Throws `ProtocolError` on the first that break the contract; the reader is then dead. */
  push(chunk: Buffer): void {
    let at = 0;
    const length = chunk.length;
    while (at < length) {
      if (this.#headerFilled < FRAME_HEADER_BYTES) {
        if (this.#headerFilled === 0 && length - at >= FRAME_HEADER_BYTES) {
          this.#open(chunk, at);
          at += FRAME_HEADER_BYTES;
        } else {
          const taken = Math.min(FRAME_HEADER_BYTES - this.#headerFilled, length - at);
          chunk.copy(this.#header, this.#headerFilled, at, at + taken);
          this.#headerFilled += taken;
          at += taken;
          if (this.#headerFilled < FRAME_HEADER_BYTES) return;
          this.#open(this.#header, 0);
        }
      }
      at = this.#kind === FRAME.data ? this.#passData(chunk, at) : this.#takePayload(chunk, at);
    }
  }

  #open(bytes: Buffer, at: number): void {
    const kind = bytes[at]!;
    const length = (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
    const limit = this.#limits[kind] ?? -1;
    if (limit < 0) throw new ProtocolError(`Cannot read frame: kind ${kind} is not allowed here`);
    if (length > limit) {
      throw new ProtocolError(`Cannot read frame: kind ${kind} has ${length} bytes, the limit is ${limit}`);
    }
    if (length === 0 && kind === FRAME.data) {
      throw new ProtocolError("Cannot read frame: data frame is empty");
    }
    if (length !== 4 && kind === FRAME.credit) {
      throw new ProtocolError(`Cannot read frame: credit has ${length} bytes, not 4`);
    }
    this.#headerFilled = FRAME_HEADER_BYTES;
    this.#kind = kind as FrameKind;
    this.#exchange = bytes.readUInt32BE(at + 4);
    this.#missing = length;
  }

  #passData(chunk: Buffer, at: number): number {
    const taken = Math.min(this.#missing, chunk.length - at);
    if (taken === 0) return at;
    this.#missing -= taken;
    if (this.#missing === 0) this.#headerFilled = 0;
    this.#sink.data(this.#exchange, taken === chunk.length ? chunk : chunk.subarray(at, at + taken));
    return at + taken;
  }

  #takePayload(chunk: Buffer, at: number): number {
    const available = chunk.length - at;
    if (this.#collected === null && available >= this.#missing) {
      const end = at + this.#missing;
      this.#headerFilled = 0;
      this.#missing = 0;
      this.#sink.frame(this.#kind, this.#exchange, chunk.subarray(at, end));
      return end;
    }
    if (available === 0) return at;
    const taken = Math.min(this.#missing, available);
    this.#collect(chunk, at, taken);
    if (this.#missing === 0) {
      const payload = this.#collected!.subarray(0, this.#collectedLength);
      this.#collected = null;
      this.#collectedLength = 0;
      this.#headerFilled = 0;
      this.#sink.frame(this.#kind, this.#exchange, payload);
    }
    return at + taken;
  }

  #collect(chunk: Buffer, at: number, taken: number): void {
    const needed = this.#collectedLength + taken;
    const whole = this.#collectedLength + this.#missing;
    if (this.#collected === null || this.#collected.length < needed) {
      const size = Math.min(whole, Math.max(FIRST_ALLOCATION, needed, 2 * (this.#collected?.length ?? 0)));
      const larger = Buffer.allocUnsafe(size);
      this.#collected?.copy(larger, 0, 0, this.#collectedLength);
      this.#collected = larger;
    }
    chunk.copy(this.#collected, this.#collectedLength, at, at + taken);
    this.#collectedLength = needed;
    this.#missing -= taken;
  }
}
