import { Readable } from "node:stream";
import type { BackendHandler } from "./port.ts";

/** Bytes of a request body that may wait for the backend before `write` says to wait. */
const HIGH_WATER_BYTES = 64 * 1024;

/** A request body on its way to undici: pieces are handed through as they are, and its reader's pace comes back. */
export class RequestBody extends Readable {
  /** A piece, or the end, was handed on: the head may be on the wire. */
  begun = false;
  readonly #handler: BackendHandler;
  #waiting = false;
  #finished = false;

  constructor(handler: BackendHandler) {
    super({ highWaterMark: HIGH_WATER_BYTES });
    this.#handler = handler;
  }

  write(chunk: Uint8Array): boolean {
    if (this.#finished || this.destroyed) return true;
    this.begun = true;
    this.#waiting = !this.push(chunk);
    return !this.#waiting;
  }

  finish(): void {
    if (this.#finished || this.destroyed) return;
    this.#finished = true;
    this.begun = true;
    this.push(null);
  }

  /** Nobody will read or write it any more. */
  abandon(): void {
    this.#finished = true;
    this.#waiting = false;
  }

  override _read(): void {
    if (!this.#waiting) return;
    this.#waiting = false;
    this.#handler.drained();
  }
}
