import type { Socket } from "node:net";
import { performance } from "node:perf_hooks";
import type { TurnedAwayCause } from "../metrics/turned_away_causes.ts";
import { ArrivalSources, type Source } from "./arrival_sources.ts";

/** Connectors that are let in at a time. */
const MOST_AT_ONCE = 16;
/** Longest time that one keeps its place, and longest time without a byte from it, milliseconds. */
const HOLD_MS = 2_000;
const SILENT_MS = 1_000;
/** Longest time that one waits, milliseconds: a connector has given up by then. */
const WAIT_MS = 15_000;
/** Connections that may wait, in all and of one source; one more is closed. */
const MOST_WAITING = 10_000;
const MOST_WAITING_OF_ONE = 5_000;
const CHECK_MS = 250;

/** Whom the connection is given to. */
export interface ArrivalTarget {
  emit(event: "connection", socket: Socket): boolean;
}

/** How connectors are let in; times in milliseconds. */
export interface ArrivalOptions {
  /** Name of the address or network that a connection comes from. */
  sourceOf: (socket: Socket) => string;
  /** Told of connections that were closed while they waited, or lost their place. */
  onTurnedAway?: (cause: TurnedAwayCause) => void;
  mostAtOnce?: number;
  /** A monotonic clock. */
  now?: () => number;
}

/** What of a connection says which one it is, also once TLS is on top of it. */
interface PeerEnd {
  remoteAddress?: string | undefined;
  remotePort?: number | undefined;
}

/** Who was let in and is not served yet. */
interface Entry {
  /** Its end of the connection. */
  readonly peer: string;
  readonly source: Source;
  readonly socket: Socket;
  readonly since: number;
  hasPlace: boolean;
  bytes: number;
  heardAt: number;
}

/**
 * Lets connections of connectors in, a few at a time, by turns of where they come from. When all of them come back at once
 * (a broker that was restarted), shaking hands with all at the same time would make each so slow that its time runs out,
 * and leave no time for users; so those who wait cost nothing, and those who are in serve. A place is held only by who
 * goes on with its handshake.
 */
export class Arrivals implements Disposable {
  readonly #target: ArrivalTarget;
  readonly #sourceOf: (socket: Socket) => string;
  readonly #turnedAway: (cause: TurnedAwayCause) => void;
  readonly #mostAtOnce: number;
  readonly #now: () => number;
  readonly #sources: ArrivalSources;
  /** Who waits, in order of arrival, and since when. */
  readonly #waiting = new Map<Socket, { source: Source; since: number }>();
  readonly #entries = new Map<string, Entry>();
  #places = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(target: ArrivalTarget, options: ArrivalOptions) {
    this.#target = target;
    this.#sourceOf = options.sourceOf;
    this.#turnedAway = options.onTurnedAway ?? (() => {});
    this.#mostAtOnce = options.mostAtOnce ?? MOST_AT_ONCE;
    this.#now = options.now ?? (() => performance.now());
    this.#sources = new ArrivalSources(this.#mostAtOnce);
  }

  /** Connections that wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Takes a connection, as a server would. */
  emit(_event: "connection", socket: Socket): boolean {
    if (socket.destroyed) return true;
    socket.on("error", () => {}); // While it waits nobody else listens; `close` follows.
    const now = this.#now();
    if (this.#waiting.size >= MOST_WAITING) return this.#turnAway(socket, "full");
    const source = this.#sources.of(this.#sourceOf(socket), now);
    if (source.waiting.size >= MOST_WAITING_OF_ONE) return this.#turnAway(socket, "source_full");
    this.#waiting.set(socket, { source, since: now });
    this.#sources.add(source, socket);
    socket.once("close", () => this.#forget(socket));
    this.#timer ??= setInterval(() => this.check(), CHECK_MS);
    this.#next();
    return true;
  }

  /** The connector at the other end is served: the next one may come. Once is enough; more do no harm. */
  settled(end: PeerEnd): void {
    const entry = this.#entries.get(peerOf(end));
    if (entry === undefined) return;
    this.#sources.served(entry.source);
    this.#left(entry);
  }

  /** Takes places from those who do nothing with them, and closes who has waited for too long. By itself a few times a second. */
  check(): void {
    const now = this.#now();
    for (const entry of this.#entries.values()) {
      if (!entry.hasPlace) continue;
      const { bytesRead } = entry.socket;
      if (bytesRead !== entry.bytes) [entry.bytes, entry.heardAt] = [bytesRead, now];
      if (now - entry.since < HOLD_MS && now - entry.heardAt < SILENT_MS) continue;
      this.#sources.failed(entry.source, now);
      this.#turnedAway("place_lost");
      this.#release(entry);
    }
    for (const [socket, { since }] of this.#waiting) {
      if (now - since < WAIT_MS) break;
      this.#turnAway(socket, "waited_too_long");
      this.#forget(socket);
    }
    this.#next();
    if (this.#waiting.size === 0 && this.#entries.size === 0) this.#stopChecking();
  }

  [Symbol.dispose](): void {
    this.#stopChecking();
    this.#entries.clear();
    for (const socket of this.#waiting.keys()) socket.destroy();
    this.#waiting.clear();
  }

  #next(): void {
    while (this.#places < this.#mostAtOnce) {
      const turn = this.#sources.next();
      if (turn === undefined) return;
      this.#waiting.delete(turn.socket);
      this.#enter(turn.source, turn.socket);
    }
  }

  #enter(source: Source, socket: Socket): void {
    const now = this.#now();
    const peer = peerOf(socket);
    const entry: Entry = {
      peer,
      source,
      socket,
      since: now,
      hasPlace: true,
      bytes: socket.bytesRead,
      heardAt: now,
    };
    this.#places += 1;
    const before = this.#entries.get(peer);
    if (before !== undefined) this.#left(before);
    this.#entries.set(peer, entry);
    socket.once("close", () => this.#left(entry));
    this.#target.emit("connection", socket);
  }

  /** It is served, or gone. */
  #left(entry: Entry): void {
    if (this.#entries.get(entry.peer) === entry) this.#entries.delete(entry.peer);
    this.#release(entry);
    this.#next();
  }

  #release(entry: Entry): void {
    if (!entry.hasPlace) return;
    entry.hasPlace = false;
    this.#places -= 1;
    this.#sources.left(entry.source);
  }

  #turnAway(socket: Socket, cause: TurnedAwayCause): true {
    this.#turnedAway(cause);
    socket.destroy();
    return true;
  }

  #forget(socket: Socket): void {
    const waiter = this.#waiting.get(socket);
    if (waiter === undefined) return;
    this.#waiting.delete(socket);
    this.#sources.remove(waiter.source, socket);
  }

  #stopChecking(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }
}

function peerOf({ remoteAddress, remotePort }: PeerEnd): string {
  return `${remoteAddress} ${remotePort}`;
}
