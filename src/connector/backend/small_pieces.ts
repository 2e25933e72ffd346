import { Buffer } from "node:buffer";

/** Pieces of this length or less are joined where they pile up, bytes: each costs some hundred more to keep. */
export const SMALL_BYTES = 1024;
/** So much of them is passed on at once, bytes. */
const PILE_BYTES = 16 * 1024;
const FIRST_BYTES = 256;

/**
 * Small pieces that wait. One alone is kept as it is; with a second one begins a copy, which grows with what is in it, so that
 * pieces of one byte cost about what they hold.
 */
export class SmallPieces {
  #one: Uint8Array | null = null;
  #pile: Buffer | null = null;
  #length = 0;

  /** Bytes that wait. */
  get length(): number {
    return this.#length;
  }

  /** Keeps a piece of `SMALL_BYTES` or less; what had to make room for it is returned and goes first. */
  add(piece: Uint8Array): Uint8Array | null {
    const full = this.#length + piece.length > PILE_BYTES ? this.take() : null;
    if (this.#length === 0) this.#one = piece;
    else this.#join(piece);
    this.#length += piece.length;
    return full;
  }

  /** All that waits, in one piece; null where nothing does. */
  take(): Uint8Array | null {
    const all = this.#one ?? this.#pile?.subarray(0, this.#length) ?? null;
    this.#one = null;
    this.#pile = null;
    this.#length = 0;
    return all;
  }

  #join(piece: Uint8Array): void {
    const needed = this.#length + piece.length;
    if (this.#pile === null || needed > this.#pile.length) {
      let size = FIRST_BYTES;
      while (size < needed) size *= 2;
      const pile = Buffer.allocUnsafe(size);
      pile.set(this.#one ?? this.#pile!.subarray(0, this.#length));
      this.#one = null;
      this.#pile = pile;
    }
    this.#pile.set(piece, this.#length);
  }
}
