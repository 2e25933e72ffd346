import type { IdleSweep, IdleWatch } from "./idle_sweep.ts";

/** Response bytes that must be taken within the idle time; more may take longer. */
const TAKEN_AT_ONCE = 1024 * 1024;
/** A user who reads more slowly than this is not there. */
const SLOWEST_BYTES_PER_MS = 16;

/** What is watched. */
export interface WatchedUser {
  /** True while it is the user who has something to do: a backend that does not read holds uploads, too. */
  readonly isAwaited: boolean;
  /** The user has done nothing for the idle time, and was to. */
  userSilent(): void;
}

/** Watches a user who is to send or to read; costs one field a piece of data, and nothing while nothing is to be done. */
export class UserWatch {
  readonly #sweep: IdleSweep;
  readonly #idleMs: number;
  readonly #user: WatchedUser;
  #watch: IdleWatch | null = null;
  /** Idle times that a user has besides, who has much to read. */
  #patience = 0;

  /** `idleMs`: silence that ends an exchange; 0 is for ever. */
  constructor(sweep: IdleSweep, idleMs: number, user: WatchedUser) {
    this.#sweep = sweep;
    this.#idleMs = idleMs;
    this.#user = user;
  }

  /** Begins to watch, where that was not done yet. */
  start(): void {
    this.#watch ??= this.#sweep.watch(this.#idleMs, () => this.#silent());
  }

  /** The user has sent or taken something. */
  active(): void {
    if (this.#watch !== null) this.#watch.active = true;
  }

  /** So many bytes are to be taken now: they must become less. What is large may take longer, at 16 KB/s. */
  unread(bytes: number): void {
    this.#patience = Math.floor(Math.max(0, bytes - TAKEN_AT_ONCE) / SLOWEST_BYTES_PER_MS / this.#idleMs);
    this.start();
  }

  /** Ends the watch. */
  stop(): void {
    this.#watch?.stop();
    this.#watch = null;
  }

  #silent(): void {
    this.#watch = null;
    if (!this.#user.isAwaited || this.#patience-- > 0) this.start();
    else this.#user.userSilent();
  }
}
