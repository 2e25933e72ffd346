import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";

/** Times of a farewell in milliseconds; all of it takes at most half of the grace. */
const QUIET_MS = 500;
const PATIENT_MS = 2_000;
const NEXT_STREAM_MS = 4_000;
const LONGEST_MS = 4_500;
/** Who has not looked for so long stood still, and has not read yet what came meanwhile. */
const STOOD_STILL_MS = 250;

/**
 * Chooses when a session of a user is told to go (GOAWAY), so that no request crosses with it: the HTTP/2 library refuses
 * what comes afterwards, and says GOAWAY only once, where RFC 9113 section 6.8 would have it said twice. Until then every
 * request is served.
 *
 * - People pause: a session on which nothing new came for half a second is left.
 * - Programs do not, but most of them wait for answers. The moment when as many requests are open as ever were at a time is
 *   one when nobody has an answer that the next request could follow; GOAWAY goes out ahead of those answers. After two
 *   seconds such a moment is taken, then ever lesser ones, at last any request that comes.
 */
export class Farewell {
  readonly #session: ServerHttp2Session;
  #begun: number;
  /** What a full farewell's times are multiplied by. */
  readonly #scale: number;
  readonly #now: () => number;
  readonly #streams = new Set<ServerHttp2Stream>();
  #lastStreamAt: number;
  #lookedAt: number;
  /** Most requests that were open at a time. */
  #most = 0;

  /** `graceMs`: what the whole end may take. `now`: milliseconds of a monotonic clock. */
  constructor(session: ServerHttp2Session, graceMs: number, now: () => number = () => performance.now()) {
    this.#session = session;
    this.#now = now;
    this.#begun = this.#lastStreamAt = this.#lookedAt = now();
    this.#scale = Math.min(1, graceMs / 2 / LONGEST_MS);
    session.on("stream", (stream) => this.#came(stream));
  }

  /** Call a few times in each half second. */
  check(): void {
    const now = this.#now();
    if (now - this.#lookedAt > STOOD_STILL_MS) {
      this.#lastStreamAt = now;
      this.#begun += now - this.#lookedAt;
    }
    this.#lookedAt = now;
    const isQuiet = now - this.#lastStreamAt >= QUIET_MS * this.#scale;
    if (isQuiet || now - this.#begun >= LONGEST_MS * this.#scale) this.#session.close();
  }

  #came(stream: ServerHttp2Stream): void {
    this.#lastStreamAt = this.#now();
    this.#streams.add(stream);
    stream.once("close", () => this.#streams.delete(stream));
    // Once all are counted that have come together.
    setImmediate(() => this.#consider());
  }

  #consider(): void {
    let unanswered = 0;
    for (const stream of this.#streams) if (!stream.writableEnded) unanswered += 1;
    this.#most = Math.max(this.#most, unanswered);
    if (unanswered >= this.#most * this.#shareNeeded()) this.#session.close();
  }

  /** How many of the most requests at a time must be open; more than all of them while there is patience. */
  #shareNeeded(): number {
    const elapsed = (this.#now() - this.#begun) / this.#scale;
    if (elapsed < PATIENT_MS) return Number.POSITIVE_INFINITY;
    return Math.max(0, (NEXT_STREAM_MS - elapsed) / (NEXT_STREAM_MS - PATIENT_MS));
  }
}
