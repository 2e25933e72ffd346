import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import type { Duplex, Readable } from "node:stream";
import { tcpSocketOf } from "./tcp_socket.ts";

/** Time between two looks, in milliseconds. */
const EVERY_MS = 1_000;
const NOTHING = Buffer.alloc(0);

/** A user whose bytes wait. */
class Paused {
  readonly body: Readable;
  readonly socket: Socket;
  /** The last question is not answered yet: what was written before it waits for the user. */
  isAsked = false;

  constructor(body: Readable, socket: Socket) {
    this.body = body;
    this.socket = socket;
  }

  ask(): void {
    if (this.isAsked || this.socket.writableEnded) return;
    this.isAsked = true;
    this.socket.write(NOTHING, () => this.isAsked = false);
  }
}

/**
 * Notices that users have left whose HTTP/1.1 connection is not read, since nobody takes what they send: of such a
 * connection the runtime is not told that it was reset, but a write of no bytes is. One timer for all of them, none
 * while there are none. An end (FIN) stands behind the bytes before it, and is met when those are read.
 */
export class PausedUsers implements Disposable {
  readonly #paused = new Map<Readable, Paused>();
  #timer: NodeJS.Timeout | null = null;

  /** The user's body is paused; `connection` is what it comes on. To be called each time. */
  add(body: Readable, connection: Duplex): void {
    if (this.#paused.has(body)) return;
    const socket = tcpSocketOf(connection);
    if (socket === null) return;
    this.#paused.set(body, new Paused(body, socket));
    this.#timer ??= setInterval(() => this.look(), EVERY_MS);
  }

  /** Asks the connections of all that are still paused; done by the timer. Who has left is destroyed by the answer. */
  look(): void {
    for (const [body, one] of this.#paused) {
      if (one.socket.destroyed || body.destroyed || body.readableFlowing === true) this.#paused.delete(body);
      else one.ask();
    }
    if (this.#paused.size === 0) this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }
}
