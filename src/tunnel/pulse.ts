import type { Http2Session } from "node:http2";
import { performance } from "node:perf_hooks";
import { ConnectionWindow, MIN_CONNECTION_WINDOW } from "./connection_window.ts";

/** When to ping and when to give up, milliseconds. */
export interface PulseTimes {
  pingIntervalMs: number;
  timeoutMs: number;
}

/** What share of its time-out a tunnel may be silent before it is doubted: 6 s of 15. */
const DOUBT_SHARE = 0.4;
/** An answer to the last ping may take this long before it is missed, milliseconds. */
const ANSWER_MS = 1_000;
/** A timer that comes later than this by so many milliseconds tells that the process itself stood still. */
const STOOD_STILL_MS = 1_000;
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
  readonly #onDoubt: (() => void) | null;
  readonly #doubtMs: number;
  readonly #pingEveryMs: number;
  readonly #tickMs: number;
  readonly #window = new ConnectionWindow();
  readonly #timer: NodeJS.Timeout;
  #applied = MIN_CONNECTION_WINDOW;
  #ping: "none" | "sent" = "none";
  #sincePing = 0;
  #lastReceivedAt = performance.now();
  #tickedAt = this.#lastReceivedAt;
  #pingedAt = 0;
  #doubted = false;
  #bytesReceived = 0;
  /** As it was when it was last looked at. */
  #bytesSeen = 0;

  /**
   * Starts at once; `onSilent` is called when no byte came for `timeoutMs`, `onDoubt` when none came for two fifths of that
   * and a ping is not answered. Dispose to stop.
   */
  constructor(
    session: Http2Session,
    times: PulseTimes,
    onSilent: () => void,
    onDoubt: (() => void) | null = null,
  ) {
    this.#session = session;
    this.#times = times;
    this.#onSilent = onSilent;
    this.#onDoubt = onDoubt;
    this.#doubtMs = Math.max(times.timeoutMs * DOUBT_SHARE, times.pingIntervalMs + ANSWER_MS);
    this.#pingEveryMs = Math.min(times.pingIntervalMs, times.timeoutMs / 3);
    this.#tickMs = onDoubt === null ? this.#pingEveryMs : Math.min(this.#pingEveryMs, this.#doubtMs / 6);
    session.setLocalWindowSize(MIN_CONNECTION_WINDOW);
    this.#timer = setInterval(() => this.#tick(), this.#tickMs);
    this.#sendPing();
  }

  /** Round trip of the path itself, without queues of our own, milliseconds; a guess before the first answer. */
  get roundTripMs(): number {
    const shortest = this.#window.shortestRoundTripMs;
    return shortest === Number.POSITIVE_INFINITY ? FIRST_GUESS_MS : shortest;
  }

  /** True while nothing has come for so long that it is doubted. */
  get isSilent(): boolean {
    return this.#doubted;
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
    const late = now - this.#tickedAt - this.#tickMs;
    this.#tickedAt = now;
    // Who stood still has not listened: what came meanwhile is read only after this.
    if (late > STOOD_STILL_MS) this.#lastReceivedAt = Math.min(now, this.#lastReceivedAt + late);
    if (this.#bytesReceived !== this.#bytesSeen) {
      this.#bytesSeen = this.#bytesReceived;
      this.#heard(now);
    }
    const silentMs = now - this.#lastReceivedAt;
    if (silentMs > this.#times.timeoutMs) return this.#onSilent();
    if (this.#ping === "none") {
      // Nearly due is due: the next look may be a whole interval away.
      if (now - this.#pingedAt > this.#pingEveryMs * 0.9) this.#sendPing();
    } else if (silentMs > this.#doubtMs && !this.#doubted) {
      this.#doubted = true;
      this.#onDoubt?.();
    }
  }

  #heard(now: number): void {
    this.#lastReceivedAt = now;
    this.#doubted = false;
  }

  #sendPing(): void {
    if (this.#session.destroyed) return;
    this.#ping = "sent";
    this.#pingedAt = performance.now();
    this.#sincePing = 0;
    const begun = this.#bytesReceived;
    this.#session.ping(PAYLOAD, (error, duration) => {
      this.#ping = "none";
      if (error) return;
      this.#heard(performance.now());
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
