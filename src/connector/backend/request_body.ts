import process from "node:process";
import { Readable } from "node:stream";
import type { BackendHandler } from "./port.ts";
import { SMALL_BYTES, SmallPieces } from "./small_pieces.ts";

/** Bytes of a request body that may wait for the backend before `write` says to wait. */
const HIGH_WATER_BYTES = 64 * 1024;

/**
 * A request body on its way to undici: pieces are handed through as they are, small ones of one turn, or that a reader lets
 * wait, in one; its reader's pace comes back.
 */
export class RequestBody extends Readable {
  /** A piece, or the end, was handed on: the head may be on the wire. */
  begun = false;
  readonly #handler: BackendHandler;
  readonly #small = new SmallPieces();
  #waiting = false;
  #finished = false;

  constructor(handler: BackendHandler) {
    super({ highWaterMark: HIGH_WATER_BYTES });
    this.#handler = handler;
  }

  write(chunk: Uint8Array): boolean {
    if (this.#finished || this.destroyed) return true;
    this.begun = true;
    if (chunk.length > SMALL_BYTES) {
      this.#pass(this.#small.take());
      this.#waiting = !this.push(chunk);
    } else {
      if (this.#small.length === 0) process.nextTick(passOn, this);
      this.#pass(this.#small.add(chunk));
      this.#waiting = this.readableLength + this.#small.length >= HIGH_WATER_BYTES;
    }
    return !this.#waiting;
  }

  finish(): void {
    if (this.#finished || this.destroyed) return;
    this.#pass(this.#small.take());
    this.#finished = true;
    this.begun = true;
    this.push(null);
  }

  /** Nobody will read or write it any more. */
  abandon(): void {
    this.#finished = true;
    this.#waiting = false;
    this.#small.take();
  }

  /** Hands small pieces to a reader who takes them. */
  passOn(): void {
    if (!this.#finished && !this.destroyed && this.readableFlowing === true) this.#pass(this.#small.take());
  }

  override resume(): this {
    super.resume();
    this.passOn();
    return this;
  }

  override _read(): void {
    if (!this.#waiting) return;
    this.#waiting = false;
    this.#handler.drained();
  }

  #pass(pieces: Uint8Array | null): void {
    if (pieces !== null) this.push(pieces);
  }
}

function passOn(body: RequestBody): void {
  body.passOn();
}
