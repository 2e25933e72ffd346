import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

/** Requests that may wait on a connection for the responses before theirs; the connection is not read while so many do. */
const MOST_WAITING = 16;
/** What one read has brought beyond that is still taken, up to this many; nobody but an attacker sends more at once. */
const TOO_MANY = 128;

/** Connections on which nobody can say where the next request begins. */
const unreadable = new WeakSet<Duplex>();

/** A request of this connection was refused, and its end with it: what follows is looked at no more (RFC 9112 section 9.6). */
export function takeNoMoreOf(socket: Duplex): void {
  unreadable.add(socket);
}

/**
 * Bounds what users of HTTP/1.1 send ahead (RFC 9112 section 9.3.2): each such request is an exchange, whose response is
 * kept until those before it have gone out. A request that is alone on its connection, as nearly all are, costs one comparison.
 */
export class Pipelining {
  readonly #waiting = new WeakMap<Duplex, number>();

  /** A request has come. `unwanted`: it must be left alone; `too_many`: the connection must end. */
  take({ socket }: IncomingMessage, response: ServerResponse): "taken" | "unwanted" | "too_many" {
    if (response.socket === null) return this.#queue(socket, response);
    // Node reads on for a moment after the last response has ended our side.
    return socket.writable ? "taken" : "unwanted";
  }

  #queue(socket: Duplex, response: ServerResponse): "taken" | "unwanted" | "too_many" {
    const count = (this.#waiting.get(socket) ?? 0) + 1;
    if (count > TOO_MANY) return "too_many";
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
    return unreadable.has(socket) ? "unwanted" : "taken";
  }

  #pause(socket: Duplex): void {
    if (this.#waiting.get(socket)! >= MOST_WAITING) socket.pause();
  }
}

/** The response that a connection is busy with, and its request; undefined while it is idle. */
export function responseUnderWay(socket: Duplex): ServerResponse | undefined {
  return (socket as { _httpMessage?: ServerResponse | null })._httpMessage ?? undefined;
}
