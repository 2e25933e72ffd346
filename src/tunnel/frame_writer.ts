import type { Duplex } from "node:stream";
import { type Backlog, type BacklogWaiter, BULK_PIECE_BYTES } from "./backlog.ts";
import type { Flushable, FlushQueue } from "./flush_queue.ts";

/** Frames that leave together and are no more than this are copied into one piece: cheaper than a write of many. */
const COPY_BYTES = 4_096;

/** Writes frames to the stream of a lane; those that belong together leave together. */
export class FrameWriter implements Flushable {
  readonly #stream: Duplex;
  readonly #flushes: FlushQueue;
  readonly #backlog: Backlog;
  readonly #waiter: BacklogWaiter;
  /** Frames, or pieces of them, that leave with what follows. */
  #joined: Buffer[] = [];
  #joinedBytes = 0;
  #isQueued = false;
  /** Bulk among what is joined, and all that counts in the backlog, bytes. */
  #joinedBulk = 0;
  #bulk = 0;

  /** `waiter` hears of room in the backlog; of that in the stream its `drain` tells. */
  constructor(stream: Duplex, flushes: FlushQueue, backlog: Backlog, waiter: BacklogWaiter) {
    this.#stream = stream;
    this.#flushes = flushes;
    this.#backlog = backlog;
    this.#waiter = waiter;
  }

  /**
   * True while the stream takes more and, where pieces of so many bytes are bulk, the tunnel does. False: the stream drains,
   * or the waiter is told of room.
   */
  hasRoomElseWait(bytes: number): boolean {
    return this.#joinedBytes < this.#stream.writableHighWaterMark && !this.#stream.writableNeedDrain &&
      (bytes < BULK_PIECE_BYTES || this.#backlog.hasRoomElseWait(this.#waiter));
  }

  /** A frame, or a piece of one, that is followed by others within the same callback. */
  join(frame: Buffer): void {
    this.#joined.push(frame);
    this.#joinedBytes += frame.length;
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.#flushes.add(this);
  }

  /** The payload of a data frame, which is joined like a frame. */
  joinData(bytes: Buffer): void {
    if (bytes.length >= BULK_PIECE_BYTES) {
      this.#backlog.add(bytes.length);
      this.#joinedBulk += bytes.length;
      this.#bulk += bytes.length;
    }
    this.join(bytes);
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

  /** Nothing is written any more; what was, leaves. */
  end(): void {
    this.#backlog.forget(this.#waiter);
  }

  /** Nothing leaves any more. May be called again. */
  close(): void {
    const bulk = this.#bulk;
    this.#bulk = 0;
    this.#backlog.forget(this.#waiter);
    if (bulk > 0) this.#backlog.remove(bulk);
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
      const last = joined.length - 1;
      for (let i = 0; i < last; i++) this.#stream.write(joined[i]!);
      if (this.#joinedBulk === 0) this.#stream.write(joined[last]!);
      else this.#sendBulk(joined[last]!);
      this.#stream.uncork();
    }
    joined.length = 0;
    this.#joinedBytes = 0;
  }

  #sendBulk(last: Buffer): void {
    const bytes = this.#joinedBulk;
    this.#joinedBulk = 0;
    this.#stream.write(last, () => {
      if (this.#bulk === 0) return; // Closed: all of it was taken off then.
      this.#bulk -= bytes;
      this.#backlog.remove(bytes);
    });
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
