/** Most bytes of bulk that wait to leave through one tunnel: at 100 ms round trip as much as 80 MB/s need. */
const MOST_BYTES = 8 * 1024 * 1024;

/**
 * Smaller pieces do not count, and who sends such pieces does not wait: short exchanges and events must not, for bulk. What
 * TLS and HTTP/2 cut a body into is bulk.
 */
export const BULK_PIECE_BYTES = 16 * 1024;

/** About what a source sends at a time: so much of the room is for each that is told of it. */
const PIECE_BYTES = 64 * 1024;

/** Who waits until there is room. */
export interface BacklogWaiter {
  /** There is. Who has something to send sends it soon: a source that is resumed does so after this call. */
  roomAgain(): void;
}

/**
 * The bulk that the lanes of one tunnel have taken over and that has not left yet. Each lane takes a piece or two before it
 * says that it has no room; a thousand of them, with all that encryption adds, are hundreds of megabytes. Beyond a bound
 * they wait, and go on in the order in which they came, once a turn of the event loop as many as there is room for.
 */
export class Backlog implements Disposable {
  #mostBytes: number;
  #bytes = 0;
  #waiting = new Set<BacklogWaiter>();
  /** Set from when some were told of room until what they send has been counted. */
  #nextStep: NodeJS.Immediate | null = null;
  /** Who is told of room now. */
  #told: BacklogWaiter | null = null;
  readonly #goOn = (): void => {
    this.#nextStep = null;
    if (this.#waiting.size > 0) this.#step();
  };

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

  /** True when there is room that nobody else was told of. False: `waiter.roomAgain` is called when there is. */
  hasRoomElseWait(waiter: BacklogWaiter): boolean {
    if (this.#bytes < this.#mostBytes && (this.#nextStep === null || waiter === this.#told)) return true;
    this.#waiting.add(waiter);
    return false;
  }

  /** Bytes have left, or never will. */
  remove(bytes: number): void {
    this.#bytes -= bytes;
    if (this.#waiting.size > 0 && this.#nextStep === null) this.#step();
  }

  /** This one does not wait any more. */
  forget(waiter: BacklogWaiter): void {
    this.#waiting.delete(waiter);
  }

  /** The tunnel has ended: nobody is told of room any more, and nobody waits for it. */
  [Symbol.dispose](): void {
    this.#mostBytes = Number.POSITIVE_INFINITY;
    this.#waiting.clear();
    if (this.#nextStep !== null) clearImmediate(this.#nextStep);
    this.#nextStep = null;
  }

  /** Tells as many as there is room for, and those behind them in the next turn: some may have nothing to send. */
  #step(): void {
    let count = Math.ceil((this.#mostBytes - this.#bytes) / PIECE_BYTES);
    if (count <= 0) return;
    this.#nextStep = setImmediate(this.#goOn);
    // Whoever has to wait again waits behind all others.
    for (const next of this.#waiting) {
      if (count-- === 0 || this.#bytes >= this.#mostBytes) break;
      this.#waiting.delete(next);
      this.#told = next;
      next.roomAgain();
    }
    this.#told = null;
  }
}
