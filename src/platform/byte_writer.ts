import { closeSync, constants, fstatSync, openSync, write } from "node:fs";
import { Socket } from "node:net";

/** A way out for bytes that never blocks this process, however long its reader sleeps. */
export interface ByteWriter {
  /** Writes all of `bytes`; one call at a time. `done` is called once, later; with an error when nothing more can be written. */
  write(bytes: Uint8Array, done: (error: Error | null) => void): void;
  close(): void;
}

const FIRST_RETRY_MS = 1;
const LAST_RETRY_MS = 50;

/**
 * A writer to a file descriptor of this process, 2 (standard error) in practice. Node's own `process.stderr` writes to
 * pipes and terminals synchronously: a reader that stops reading would stop the process. So the file behind the
 * descriptor is opened anew, non-blocking, which leaves the description that other processes share as it is.
 * Sockets cannot be opened so; they go through `net.Socket`, which is asynchronous by itself.
 */
export function openByteWriter(descriptor: number): ByteWriter {
  try {
    const path = `/proc/self/fd/${descriptor}`;
    return new PollingWriter(
      openSync(path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_APPEND),
      true,
    );
  } catch {
    return isSocketOrPipe(descriptor) ? new SocketWriter(descriptor) : new PollingWriter(descriptor, false);
  }
}

function isSocketOrPipe(descriptor: number): boolean {
  try {
    const stat = fstatSync(descriptor);
    return stat.isSocket() || stat.isFIFO();
  } catch {
    return false;
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
    write(this.#descriptor, bytes, (error, written) => {
      this.#writing = false;
      if (this.#closed) {
        this.#release();
        return done(new Error("Cannot write: the writer is closed"));
      }
      if (error !== null && error.code !== "EAGAIN") return done(error);
      const rest = error === null ? bytes.subarray(written) : bytes;
      if (rest.length === 0) return done(null);
      const nextMs = error === null ? FIRST_RETRY_MS : Math.min(retryMs * 2, LAST_RETRY_MS);
      this.#timer = setTimeout(() => this.#attempt(rest, nextMs, done), retryMs);
      // A log that nobody reads is no reason to stay alive; whoever waits for it (`flush`) holds the process.
      this.#timer.unref();
    });
  }

  #release(): void {
    if (this.#owned) closeSync(this.#descriptor);
  }
}

/** Writes through the event loop's own readiness notice. */
class SocketWriter implements ByteWriter {
  readonly #socket: Socket;

  constructor(descriptor: number) {
    this.#socket = new Socket({ fd: descriptor, readable: false, writable: true });
    this.#socket.on("error", () => {});
    this.#socket.unref();
  }

  write(bytes: Uint8Array, done: (error: Error | null) => void): void {
    this.#socket.write(bytes, (error) => done(error ?? null));
  }

  /** The descriptor stays open: it belongs to the process. */
  close(): void {
    this.#socket.removeAllListeners("drain");
  }
}
