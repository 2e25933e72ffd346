import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

/** Requests that may wait on a connection for the responses before theirs; the connection is not read while so many do. */
const MOST_WAITING = 16;
/** What one read has brought beyond that is still taken, up to this many; nobody but an attacker sends more at once. */
const TOO_MANY = 128;

/**
 * Bounds what users of HTTP/1.1 send ahead (RFC 9112 section 9.3.2): each such request is an exchange, whose response is
 * kept until those before it have gone out. A request that is alone on its connection, as nearly all are, costs one comparison.
 */
export class Pipelining {
  readonly #waiting = new WeakMap<Duplex, number>();

  /** A request has come. False: the connection must end. */
  take({ socket }: IncomingMessage, response: ServerResponse): boolean {
    return response.socket !== null || this.#queue(socket, response);
  }

  #queue(socket: Duplex, response: ServerResponse): boolean {
    const count = (this.#waiting.get(socket) ?? 0) + 1;
    if (count > TOO_MANY) return false;
    this.#waiting.set(socket, count);
    // Node reads on behind each complete request: what this read has brought comes first, then there is an end to it.
    if (count === MOST_WAITING) process.nextTick(() => this.#pause(socket));
    response.once("close", () => {
      const left = this.#waiting.get(socket)! - 1;
      this.#waiting.set(socket, left);
      // Its request, let go of, has made Node read on.
      if (left >= MOST_WAITING) this.#pause(socket);
      else if (left === MOST_WAITING - 1) socket.resume();
    });
    return true;
  }

  #pause(socket: Duplex): void {
    if (this.#waiting.get(socket)! >= MOST_WAITING) socket.pause();
  }
}

/** The response that a connection is busy with, and its request; undefined while it is idle. */
export function responseUnderWay(socket: Duplex): ServerResponse | undefined {
  return (socket as { _httpMessage?: ServerResponse | null })._httpMessage ?? undefined;
}
