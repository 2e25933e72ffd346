import type { Socket } from "node:net";

/** Connectors that are let in at a time. */
const MOST_AT_ONCE = 16;
/** Longest time that one keeps its place, milliseconds; then the next is let in beside it. */
const HOLD_MS = 2_000;
/** Connections that may wait; one more is closed. */
const MOST_WAITING = 10_000;

/** Whom the connection is given to. */
export interface ArrivalTarget {
  emit(event: "connection", socket: Socket): boolean;
}

/**
 * Lets connections of connectors in, a few at a time and in order of arrival. When all of them come back at once (a
 * broker that was restarted), shaking hands with all at the same time would make each so slow that its time runs out,
 * and leave no time for users; so those who wait cost nothing, and those who are in serve.
 */
export class Arrivals implements Disposable {
  readonly #target: ArrivalTarget;
  readonly #mostAtOnce: number;
  readonly #holdMs: number;
  readonly #waiting = new Set<Socket>();
  /** Those who are let in and not ready, by their end of the connection. */
  readonly #entering = new Map<string, NodeJS.Timeout>();

  constructor(target: ArrivalTarget, { mostAtOnce = MOST_AT_ONCE, holdMs = HOLD_MS } = {}) {
    this.#target = target;
    this.#mostAtOnce = mostAtOnce;
    this.#holdMs = holdMs;
  }

  /** Connections that wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Takes a connection, as a server would. */
  emit(_event: "connection", socket: Socket): boolean {
    if (this.#waiting.size >= MOST_WAITING) {
      socket.destroy();
      return true;
    }
    this.#waiting.add(socket);
    socket.on("error", () => {}); // While it waits nobody else listens; `close` follows.
    socket.once("close", () => this.#waiting.delete(socket));
    this.#next();
    return true;
  }

  /** The connection of this peer is ready, or has failed: the next one may come. Once is enough; more do no harm. */
  settled({ remoteAddress, remotePort }: { remoteAddress?: string; remotePort?: number }): void {
    this.#leave(`${remoteAddress} ${remotePort}`);
  }

  [Symbol.dispose](): void {
    for (const timer of this.#entering.values()) clearTimeout(timer);
    this.#entering.clear();
    for (const socket of this.#waiting) socket.destroy();
    this.#waiting.clear();
  }

  #next(): void {
    for (const socket of this.#waiting) {
      if (this.#entering.size >= this.#mostAtOnce) return;
      this.#waiting.delete(socket);
      if (socket.destroyed) continue;
      const peer = `${socket.remoteAddress} ${socket.remotePort}`;
      clearTimeout(this.#entering.get(peer));
      this.#entering.set(peer, setTimeout(() => this.#leave(peer), this.#holdMs));
      socket.once("close", () => this.#leave(peer));
      this.#target.emit("connection", socket);
    }
  }

  #leave(peer: string): void {
    const timer = this.#entering.get(peer);
    if (timer === undefined) return;
    clearTimeout(timer);
    this.#entering.delete(peer);
    this.#next();
  }
}
