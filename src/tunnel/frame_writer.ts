import type { Duplex } from "node:stream";
import type { Flushable, FlushQueue } from "./flush_queue.ts";

/** Frames that leave together and are no more than this are copied into one piece: cheaper than a write of many. */
const COPY_BYTES = 4_096;

/** Writes frames to the stream of a lane; those that belong together leave together. */
export class FrameWriter implements Flushable {
  readonly #stream: Duplex;
  readonly #flushes: FlushQueue;
  /** Frames, or pieces of them, that leave with what follows. */
  #joined: Buffer[] = [];
  #joinedBytes = 0;
  #isQueued = false;

  constructor(stream: Duplex, flushes: FlushQueue) {
    this.#stream = stream;
    this.#flushes = flushes;
  }

  /** True while the stream takes more. */
  get hasRoom(): boolean {
    return this.#joinedBytes < this.#stream.writableHighWaterMark && !this.#stream.writableNeedDrain;
  }

  /** A frame, or a piece of one, that is followed by others within the same callback. */
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

  flush(): void {
    this.#isQueued = false;
    if (this.#joined.length > 0) this.#send();
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
