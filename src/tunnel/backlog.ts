/** Most bytes of bulk that wait to leave through one tunnel: at 100 ms round trip as much as 80 MB/s need. */
const MOST_BYTES = 8 * 1024 * 1024;

/** Pieces up to this do not count, and who sends such pieces does not wait: short exchanges and events must not, for bulk. */
export const BULK_PIECE_BYTES = 16 * 1024;

/** Who waits until there is room. */
export interface Waiting {
  /** There is; who has something to send sends it within this call. */
  roomAgain(): void;
}

/**
 * The bulk that the lanes of one tunnel have taken over and that has not left yet. Each lane takes a piece or two before it
 * says that it has no room; a thousand of them, with all that encryption adds, are hundreds of megabytes. Beyond a bound
 * they wait, and go on in the order in which they came.
 */
export class Backlog {
  readonly #mostBytes: number;
  #bytes = 0;
  #waiting = new Set<Waiting>();

  constructor(mostBytes: number = MOST_BYTES) {
    this.#mostBytes = mostBytes;
  }

  /** Bytes that have not left. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A piece was taken over. */
  add(bytes: number): void {
    this.#bytes += bytes;
  }

  /** True when there is room. False: `waiting.roomAgain` is called when there is. */
  admits(waiting: Waiting): boolean {
    if (this.#bytes < this.#mostBytes) return true;
    this.#waiting.add(waiting);
    return false;
  }

  /** Bytes have left, or never will. */
  remove(bytes: number): void {
    this.#bytes -= bytes;
    // A set goes on with what is added to it meanwhile: whoever has to wait again waits behind all others.
    for (const next of this.#waiting) {
      if (this.#bytes >= this.#mostBytes) return;
      this.#waiting.delete(next);
      next.roomAgain();
    }
  }

  /** This one does not wait any more. */
  forget(waiting: Waiting): void {
    this.#waiting.delete(waiting);
  }
}
