import type { Socket } from "node:net";

/** How a direction of the relayed connection behaves. */
export interface LinkOptions {
  /** Time from one end to the other, in milliseconds. */
  delayMs: number;
  /** Bytes a second that get through; 0 for as many as come. */
  bytesPerSecond: number;
}

/** Most bytes under way without a rate limit: 64 MiB fills 50 ms at more than 1 GB/s. */
const UNLIMITED_BYTES = 64 * 1024 * 1024;
/** The queue in front of a limited link, beside what the delay itself holds. */
const QUEUE_BYTES = 128 * 1024;
/** Pieces of a limited link: 4 KiB are 2 ms at 2 MB/s. */
const PIECE_BYTES = 4 * 1024;

/** A piece of the stream under way, or its end (`null`), and when it arrives at the far end. */
interface Piece {
  bytes: Buffer | null;
  dueMs: number;
}

/** Carries bytes from one socket to another, late and no faster than allowed, with bounded memory. */
export function link(from: Socket, to: Socket, { delayMs, bytesPerSecond }: LinkOptions): void {
  const limited = bytesPerSecond > 0;
  const most = limited ? QUEUE_BYTES + bytesPerSecond * delayMs / 1000 : UNLIMITED_BYTES;
  const queue: Piece[] = [];
  let first = 0;
  let queuedBytes = 0;
  let freeAtMs = 0;
  let timer: NodeJS.Timeout | undefined;

  from.on("data", (chunk: Buffer) => {
    const dueMs = performance.now() + delayMs;
    const step = limited ? PIECE_BYTES : chunk.length;
    for (let at = 0; at < chunk.length; at += step) {
      queue.push({ bytes: chunk.subarray(at, at + step), dueMs });
    }
    queuedBytes += chunk.length;
    if (queuedBytes >= most) from.pause();
    schedule();
  });
  from.once("end", () => {
    queue.push({ bytes: null, dueMs: performance.now() + delayMs });
    schedule();
  });
  to.on("drain", deliver);
  to.once("close", () => clearTimeout(timer));

  function schedule(): void {
    if (timer !== undefined || first === queue.length || to.writableNeedDrain || to.destroyed) return;
    const wait = Math.max(queue[first].dueMs, freeAtMs) - performance.now();
    timer = setTimeout(deliver, Math.max(0, wait));
  }

  function deliver(): void {
    clearTimeout(timer);
    timer = undefined;
    const now = performance.now();
    // A late timer is caught up with, but time in which nothing could be sent is not saved for later.
    freeAtMs = Math.max(freeAtMs, now - 20);
    to.cork();
    while (first < queue.length && !to.writableNeedDrain) {
      const { bytes, dueMs } = queue[first];
      if (Math.max(dueMs, freeAtMs) > now) break;
      first++;
      if (bytes === null) {
        to.end();
        continue;
      }
      to.write(bytes);
      queuedBytes -= bytes.length;
      if (limited) freeAtMs = Math.max(dueMs, freeAtMs) + bytes.length / bytesPerSecond * 1000;
    }
    to.uncork();
    if (first > 1024 || first === queue.length) {
      queue.splice(0, first);
      first = 0;
    }
    if (queuedBytes < most && from.isPaused()) from.resume();
    schedule();
  }
}
