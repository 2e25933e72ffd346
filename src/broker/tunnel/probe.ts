import { ProtocolError } from "../../protocol/errors.ts";
import { encodeRequest, type ResponseHead } from "../../protocol/heads.ts";
import { PROBE_APP_ID } from "../../protocol/probe.ts";
import type { ExchangeHandler } from "../../tunnel/exchange_handler.ts";
import type { Lane } from "../../tunnel/lane.ts";

/** Times of the data-plane probe, milliseconds, and how many misses are believed. */
export interface ProbeTimes {
  intervalMs: number;
  timeoutMs: number;
  misses: number;
}

/** Defaults: a tunnel that is wedged is out of rotation in less than 5 s. */
export const DEFAULT_PROBE_TIMES: ProbeTimes = { intervalMs: 1_000, timeoutMs: 1_500, misses: 2 };

/** What a probe needs of its tunnel. */
export interface Probed {
  /** A lane that the probe keeps for itself, or undefined when none is idle: then more are asked for. */
  takeProbeLane(): Lane | undefined;
  /** True when it has as many lanes as it may have. */
  readonly isFull: boolean;
  /** Bytes received on lanes since the start, but for those that only let go of what users had given up. */
  readonly laneBytes: number;
  /** When the last exchange of a user was answered, milliseconds of the clock that `tick` is given. */
  readonly answeredAt: number;
}

/**
 * Tells whether exchanges get through a tunnel, by sending a tiny one through it where no real one has shown it lately.
 * A miss counts only when nothing at all came on the lanes meanwhile, so that a slow link full of bulk is no false alarm.
 * A probe without an answer stays out: its answer, when it comes at last, says that the tunnel is well again.
 */
export class Probe implements ExchangeHandler {
  readonly #tunnel: Probed;
  readonly #times: ProbeTimes;
  /** `laneless`: it could not be sent, and a lane should have come by now. */
  #state: "quiet" | "laneless" | "sent" = "quiet";
  #lane: Lane | null = null;
  /** When the time for an answer began, and what had come on lanes by then. */
  #since = 0;
  #bytesThen = 0;
  #misses = 0;
  #wellAt = Number.NEGATIVE_INFINITY;

  constructor(tunnel: Probed, times: ProbeTimes) {
    this.#tunnel = tunnel;
    this.#times = times;
  }

  /** The lane that is the probe's own. */
  get lane(): Lane | null {
    return this.#lane;
  }

  /** True after so many misses in a row that the tunnel is not to be trusted. */
  get hasFailed(): boolean {
    return this.#misses >= this.#times.misses;
  }

  /** Call a few times a second, with milliseconds of a monotonic clock. */
  tick(now: number): void {
    const { answeredAt, laneBytes } = this.#tunnel;
    if (answeredAt > this.#wellAt) this.#well(answeredAt);
    if (this.#state === "quiet") {
      if (now - this.#wellAt < this.#times.intervalMs) return;
      this.#watch(now);
      return this.#send();
    }
    if (this.#state === "laneless") this.#send();
    if (now - this.#since < this.#times.timeoutMs) return;
    // Full of exchanges that are silent for a reason: no lane may come, so none is missed.
    if (this.#state === "laneless" && this.#tunnel.isFull) return this.#watch(now);
    // Who has failed is believed an answer only: what was given up for that is let go of at the other end, in bytes as well.
    this.#misses = laneBytes === this.#bytesThen || this.hasFailed ? this.#misses + 1 : 0;
    this.#watch(now);
  }

  response({ hasBody }: ResponseHead): void {
    if (hasBody) return this.#lane?.destroy(new ProtocolError("Cannot use probe: its answer has a body"));
    this.#state = "quiet";
    this.#well(this.#since);
  }

  abort(): void {
    this.#state = "laneless"; // Unless the lane is idle again: `send` looks.
  }

  informational(): void {}
  data(): void {}
  end(): void {}
  writable(): void {}

  #well(at: number): void {
    this.#wellAt = at;
    this.#misses = 0;
  }

  #watch(now: number): void {
    this.#since = now;
    this.#bytesThen = this.#tunnel.laneBytes;
  }

  #send(): void {
    if (this.#lane === null || !this.#lane.isIdle) this.#lane = this.#tunnel.takeProbeLane() ?? null;
    this.#state = this.#lane === null ? "laneless" : "sent";
    this.#lane?.begin(probeFrame(), "nothing", this);
  }
}

function probeFrame(): Buffer {
  return encodeRequest({
    appId: PROBE_APP_ID,
    revision: 0,
    method: "GET",
    target: "/",
    headers: [],
    follows: "nothing",
    msLeft: 0,
    client: { ip: "", scheme: "http" },
    requestId: "",
  });
}
