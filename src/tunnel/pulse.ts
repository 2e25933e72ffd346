import type { Http2Session } from "node:http2";
import { performance } from "node:perf_hooks";
import { ConnectionWindow, MIN_CONNECTION_WINDOW } from "./connection_window.ts";

/** When to ping and when to give up, milliseconds. */
export interface PulseTimes {
  pingIntervalMs: number;
  timeoutMs: number;
}

const FIRST_GUESS_MS = 100;
const PAYLOAD = Buffer.from("sallypor");
/** A window is set anew only when it would change by more than this factor. */
const WORTH_SETTING = 1.25;

/**
 * The heart of a tunnel, on either side: pings while it is quiet and once a round trip while bulk flows, knows the round
 * trip, fits the connection window to the path, and says when nothing came for too long. Any byte counts as life.
 */
export class Pulse implements Disposable {
  readonly #session: Http2Session;
  readonly #times: PulseTimes;
  readonly #onSilent: () => void;
  readonly #window = new ConnectionWindow();
  readonly #timer: NodeJS.Timeout;
  #applied = MIN_CONNECTION_WINDOW;
  #ping: "none" | "sent" = "none";
  #sincePing = 0;
  #lastReceivedAt = performance.now();
  #bytesReceived = 0;

  /** Starts at once; `onSilent` is called when no byte came for `timeoutMs`. Dispose to stop. */
  constructor(session: Http2Session, times: PulseTimes, onSilent: () => void) {
    this.#session = session;
    this.#times = times;
    this.#onSilent = onSilent;
    session.setLocalWindowSize(MIN_CONNECTION_WINDOW);
    this.#timer = setInterval(() => this.#tick(), Math.min(times.pingIntervalMs, times.timeoutMs / 3));
    this.#sendPing();
  }

  /** Round trip of the path itself, without queues of our own, milliseconds; a guess before the first answer. */
  get roundTripMs(): number {
    const shortest = this.#window.shortestRoundTripMs;
    return shortest === Number.POSITIVE_INFINITY ? FIRST_GUESS_MS : shortest;
  }

  /** All payload bytes received since the start. */
  get bytesReceived(): number {
    return this.#bytesReceived;
  }

  /** Bytes came in. */
  received(bytes: number): void {
    this.#bytesReceived += bytes;
    this.#sincePing += bytes;
    if (this.#ping === "none" && this.#sincePing > this.#window.size >>> 2) this.#sendPing();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const now = performance.now();
    if (this.#sincePing > 0) this.#lastReceivedAt = now;
    else if (now - this.#lastReceivedAt > this.#times.timeoutMs) return this.#onSilent();
    if (this.#ping === "none") this.#sendPing();
    else this.#sincePing = 0;
  }

  #sendPing(): void {
    if (this.#session.destroyed) return;
    this.#ping = "sent";
    this.#sincePing = 0;
    const begun = this.#bytesReceived;
    this.#session.ping(PAYLOAD, (error, duration) => {
      this.#ping = "none";
      if (error) return;
      this.#lastReceivedAt = performance.now();
      this.#fit(this.#window.sample(this.#bytesReceived - begun, duration));
    });
  }

  #fit(size: number): void {
    if (this.#session.destroyed) return;
    if (size < this.#applied * WORTH_SETTING && size > this.#applied / WORTH_SETTING) return;
    this.#applied = size;
    this.#session.setLocalWindowSize(size);
  }
}
