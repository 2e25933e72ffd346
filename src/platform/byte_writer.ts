import { closeSync, constants, fstatSync, openSync, write } from "node:fs";
import { Socket } from "node:net";

/** A way out for bytes that never blocks this process, however long its reader sleeps. */
export interface ByteWriter {
  /** Writes all of `bytes`; one call at a time. `done` is called once, later; with an error when nothing more can be written. */
  write(bytes: Uint8Array, done: (error: Error | null) => void): void;
  close(): void;
}

/**
 * Deno's `fs.write` to a non-blocking descriptor forgets how much it had written when the reader's buffer filled up, and
 * bytes would leave twice. A piece of PIPE_BUF bytes is taken whole or not at all (pipe(7)).
 */
const PIECE_BYTES = process.versions.deno === undefined ? Infinity : 4_096;
const FIRST_RETRY_MS = 1;
const LAST_RETRY_MS = 50;

/**
 * A writer to a file descriptor of this process, 2 (standard error) in practice. Node's own `process.stderr` writes to
 * pipes and terminals synchronously: a reader that stops reading would stop the process. So the file behind the
 * descriptor is opened anew, non-blocking, which leaves the description that other processes share as it is.
 * A regular file never makes a writer wait, and is written through the descriptor given: one opened anew would have an
 * offset of its own, and another program writing to the same redirection (`{ a; b; } 2>file`) would overwrite our lines.
 * A socket cannot be opened so; it is made non-blocking as it is. Where neither works, writes come from the thread pool.
 */
export function openByteWriter(descriptor: number): ByteWriter {
  try {
    if (fstatSync(descriptor).isFile()) return new PollingWriter(descriptor, false);
    const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK;
    return new PollingWriter(openSync(`/proc/self/fd/${descriptor}`, flags), true);
  } catch {
    makeNonBlocking(descriptor);
    return new PollingWriter(descriptor, false);
  }
}

/** Node has no call for it, but a `Socket` makes its descriptor non-blocking; nothing is ever written through this one. */
function makeNonBlocking(descriptor: number): void {
  try {
    const stat = fstatSync(descriptor);
    if (stat.isSocket() || stat.isFIFO()) {
      new Socket({ fd: descriptor, readable: false, writable: true }).unref();
    }
  } catch {
    // Not a descriptor that can: the thread pool waits instead of the process.
  }
}

/** Writes from the thread pool and asks again while the reader's buffer is full (EAGAIN). */
class PollingWriter implements ByteWriter {
  readonly #descriptor: number;
  readonly #owned: boolean;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  #writing = false;

  constructor(descriptor: number, owned: boolean) {
    this.#descriptor = descriptor;
    this.#owned = owned;
  }

  write(bytes: Uint8Array, done: (error: Error | null) => void): void {
    this.#attempt(bytes, FIRST_RETRY_MS, done);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    if (!this.#writing) this.#release();
  }

  #attempt(bytes: Uint8Array, retryMs: number, done: (error: Error | null) => void): void {
    if (this.#closed) return done(new Error("Cannot write: the writer is closed"));
    this.#writing = true;
    write(this.#descriptor, bytes.subarray(0, PIECE_BYTES), (error, written) => {
      this.#writing = false;
      if (this.#closed) {
        this.#release();
        return done(new Error("Cannot write: the writer is closed"));
      }
      if (error !== null && error.code !== "EAGAIN") return done(error);
      if (error === null) {
        return written < bytes.length
          ? this.#attempt(bytes.subarray(written), FIRST_RETRY_MS, done)
          : done(null);
      }
      const nextMs = Math.min(retryMs * 2, LAST_RETRY_MS);
      this.#timer = setTimeout(() => this.#attempt(bytes, nextMs, done), retryMs);
      // A log that nobody reads is no reason to stay alive; whoever waits for it (`flush`) holds the process.
      this.#timer.unref();
    });
  }

  #release(): void {
    if (this.#owned) closeSync(this.#descriptor);
  }
}
