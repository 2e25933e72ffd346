import type { ServerHttp2Stream } from "node:http2";
import { performance } from "node:perf_hooks";
import type { Backlog } from "../../tunnel/backlog.ts";
import type { CreditBudget } from "../../tunnel/credit_budget.ts";
import type { FlushQueue } from "../../tunnel/flush_queue.ts";
import { Lane } from "../../tunnel/lane.ts";
import type { LaneOwner } from "../../tunnel/lane_owner.ts";
import type { DataPlaneCounters } from "../metrics/counters.ts";
import { TunnelError } from "./errors.ts";
import { IdleLanes } from "./idle_lanes.ts";
import { Probe, type Probed, type ProbeTimes } from "./probe.ts";

/** What lanes need of their tunnel. */
export interface TunnelOfLanes {
  readonly budget: CreditBudget;
  readonly flushes: FlushQueue;
  readonly backlog: Backlog;
  readonly roundTripMs: number;
  /** Nothing new begins any more: each lane goes as soon as it is idle. */
  readonly isDraining: boolean;
  received(bytes: number): void;
  /** A lane is idle. True: a request that has waited began on it. */
  offer(lane: Lane): boolean;
  /** Asks the connector to open so many lanes. */
  askForLanes(count: number): void;
  laneLost(error: Error): void;
}

const RETIRE_EVERY_MS = 60_000;
/** At most so much comes of a peer that lets go of an exchange that was given up: what is more was sent before. */
const LETTING_GO_BYTES = 64;

/** The lanes of one tunnel: which are idle, how many are busy and with what, and how many are too many. */
export class TunnelLanes implements LaneOwner, Probed, Disposable {
  readonly budget: CreditBudget;
  readonly flushes: FlushQueue;
  readonly backlog: Backlog;
  /** Tells whether exchanges get through; has a lane of its own. */
  readonly probe: Probe;
  readonly #tunnel: TunnelOfLanes;
  readonly #counters: DataPlaneCounters;
  readonly #most: number;
  readonly #open = new Set<Lane>();
  readonly #idle = new IdleLanes();
  readonly #retireTimer: NodeJS.Timeout;
  #wanted = 0;
  /** Lanes that carry an exchange of a user, and of those the ones with more than `BULK_BYTES`. */
  busy = 0;
  bulk = 0;
  /** Exchanges of users since the start. */
  exchanges = 0;
  /** See `Probed`. */
  laneBytes = 0;
  answeredAt: number = Number.NEGATIVE_INFINITY;

  /** At most `most` lanes. */
  constructor(tunnel: TunnelOfLanes, most: number, counters: DataPlaneCounters, probeTimes: ProbeTimes) {
    this.#tunnel = tunnel;
    this.#most = most;
    this.#counters = counters;
    this.budget = tunnel.budget;
    this.flushes = tunnel.flushes;
    this.backlog = tunnel.backlog;
    this.probe = new Probe(this, probeTimes);
    this.#retireTimer = setInterval(() => this.#idle.retireSurplus(this.busy), RETIRE_EVERY_MS);
  }

  get roundTripMs(): number {
    return this.#tunnel.roundTripMs;
  }

  /** Lanes that carry nothing now. */
  get idleCount(): number {
    return this.#open.size - this.busy;
  }

  get isFull(): boolean {
    return this.#open.size >= this.#most;
  }

  /** Throws `TunnelError` when there are as many as there may be: before anything is answered. */
  check(): void {
    if (!this.isFull) return;
    throw new TunnelError("too_many_lanes", `Cannot take lane: tunnel has ${this.#open.size} already`);
  }

  /** The connector has opened a lane, which was checked and answered with 200. */
  add(stream: ServerHttp2Stream): void {
    const lane = new Lane(stream, "broker", this);
    this.#open.add(lane);
    this.#counters.lanesOpened += 1;
    this.#counters.lanesIdle += 1;
    this.#offer(lane);
  }

  /** An idle lane for an exchange of a user. */
  take(): Lane | undefined {
    const lane = this.#idle.pop();
    if (lane !== undefined) this.#taken();
    return lane;
  }

  takeProbeLane(): Lane | undefined {
    const lane = this.#idle.pop();
    if (lane === undefined) this.want(1);
    return lane;
  }

  /** So many more are needed; all that are wanted in one turn of the event loop are asked for together. */
  want(count: number): void {
    this.#wanted += count;
    if (this.#wanted === count) {
      setImmediate(() => {
        const n = Math.min(this.#wanted, this.#most - this.#open.size);
        this.#wanted = 0;
        if (n > 0) this.#tunnel.askForLanes(n);
      });
    }
  }

  /** The tunnel is draining from now on: the idle lanes go. */
  retireIdle(): void {
    this.#idle.retireAll();
    this.#retireProbeLane();
  }

  /** Tells long-lived exchanges to leave. */
  drainExchanges(): void {
    for (const lane of [...this.#open]) lane.drain();
  }

  /** Exchanges do not get through: who waits for a head may go elsewhere. */
  stall(): void {
    for (const lane of [...this.#open]) lane.stall();
  }

  now(): number {
    return performance.now();
  }

  received(bytes: number, lane: Lane): void {
    if (bytes > LETTING_GO_BYTES || !lane.isGivenUp) this.laneBytes += bytes;
    this.#tunnel.received(bytes);
  }

  becameBulk(): void {
    this.bulk += 1;
  }

  begun(lane: Lane): void {
    lane.destroy(new Error("A connector cannot send requests"));
  }

  /** A lane's exchange is over. */
  idle(lane: Lane, isAnswer: boolean): void {
    if (lane === this.probe.lane) return this.#retireProbeLane();
    this.#released(lane);
    if (isAnswer) this.answeredAt = this.now();
    this.#offer(lane);
  }

  closed(lane: Lane, error: Error | null, wasIdle: boolean): void {
    this.#open.delete(lane);
    if (lane !== this.probe.lane) {
      if (wasIdle) this.#idle.died();
      else this.#released(lane);
    }
    this.#counters.lanesIdle -= 1;
    if (error === null) this.#counters.lanesRetired += 1;
    else {
      this.#counters.lanesDestroyed += 1;
      this.#tunnel.laneLost(error);
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#retireTimer);
  }

  /** The probe's lane goes like all others when the connector stops, which waits for the last one. */
  #retireProbeLane(): void {
    const { lane } = this.probe;
    if (this.#tunnel.isDraining && lane?.isIdle === true) lane.retire();
  }

  #offer(lane: Lane): void {
    if (this.#tunnel.offer(lane)) this.#taken();
    else if (!lane.isIdle) return;
    else if (this.#tunnel.isDraining) lane.retire();
    else this.#idle.push(lane);
  }

  #taken(): void {
    this.busy += 1;
    this.exchanges += 1;
    this.#counters.lanesIdle -= 1;
    this.#counters.lanesBusy += 1;
  }

  #released(lane: Lane): void {
    this.busy -= 1;
    if (lane.isBulk) this.bulk -= 1;
    this.#counters.lanesIdle += 1;
    this.#counters.lanesBusy -= 1;
  }
}
