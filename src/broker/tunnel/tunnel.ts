import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import { performance } from "node:perf_hooks";
import type { Log } from "../../platform/log.ts";
import type { Hello } from "../../protocol/messages.ts";
import { PROBE_CAPABILITY } from "../../protocol/probe.ts";
import { ControlChannel, type ControlHandler } from "../../tunnel/control_channel.ts";
import type { CreditBudget } from "../../tunnel/credit_budget.ts";
import { ControlError } from "../../tunnel/errors.ts";
import { FlushQueue } from "../../tunnel/flush_queue.ts";
import { Lane } from "../../tunnel/lane.ts";
import type { LaneOwner } from "../../tunnel/lane_owner.ts";
import { Pulse, type PulseTimes } from "../../tunnel/pulse.ts";
import type { DataPlaneCounters } from "../metrics/counters.ts";
import type { RegisteredTunnel, Registry } from "../registry/registry.ts";
import { TunnelError } from "./errors.ts";
import { IdleLanes } from "./idle_lanes.ts";
import { Probe, type Probed, type ProbeTimes } from "./probe.ts";

/** Who is at the other end, from the verified certificate and the store. */
export interface TunnelPeer {
  connectorId: string;
  groupId: string;
  serial: string;
  /** End of the certificate, milliseconds since the epoch. */
  notAfter: number;
  externalIp: string;
}

/** What a tunnel needs of the broker. */
export interface TunnelDeps {
  registry: Registry;
  counters: DataPlaneCounters;
  log: Log;
  times: PulseTimes;
  probeTimes: ProbeTimes;
  maxLanes: number;
}

const RETIRE_EVERY_MS = 60_000;
/** setTimeout cannot wait longer than this. */
const LONGEST_TIMER_MS = 0x7fff_ffff;

/** The broker's end of one tunnel: its lanes, its control channel and its place in the registry. */
export class BrokerTunnel implements LaneOwner, RegisteredTunnel, Probed {
  readonly peer: TunnelPeer;
  readonly connectedAt: number = Date.now();
  readonly budget: CreditBudget;
  readonly flushes: FlushQueue = new FlushQueue();
  readonly control: ControlChannel;
  readonly #deps: TunnelDeps;
  readonly #session: ServerHttp2Session;
  readonly #socket: ServerHttp2Session["socket"];
  readonly #idleLanes = new IdleLanes();
  readonly #pulse: Pulse;
  readonly #retireTimer: NodeJS.Timeout;
  #expiryTimer: NodeJS.Timeout | undefined;
  readonly #onClosed: (tunnel: BrokerTunnel, reason: Error | null) => void;
  readonly #probe: Probe;
  readonly #lanesOpen = new Set<Lane>();
  /**
   * `stuck`: exchanges do not get through; out of rotation until they do. `draining`: what has begun goes on, and nothing
   * new begins.
   */
  #state: "greeting" | "ready" | "stuck" | "draining" | "closed" = "greeting";
  #groupId: string;
  #hello: Hello | null = null;
  #busy = 0;
  #bulk = 0;
  #wanted = 0;
  #exchanges = 0;
  /** Revision that the connector last asked for, for display. */
  configRevision = 0;
  /** See `Probed`. */
  laneBytes = 0;
  answeredAt: number = Number.NEGATIVE_INFINITY;

  constructor(
    session: ServerHttp2Session,
    stream: ServerHttp2Stream,
    peer: TunnelPeer,
    deps: TunnelDeps,
    handler: Omit<ControlHandler, "received" | "closed">,
    onClosed: (tunnel: BrokerTunnel, reason: Error | null) => void,
  ) {
    this.peer = peer;
    this.#groupId = peer.groupId;
    this.#deps = deps;
    this.#session = session;
    this.#socket = session.socket;
    this.#onClosed = onClosed;
    this.budget = deps.registry.budget;
    this.#pulse = new Pulse(
      session,
      deps.times,
      () => this.close(new TunnelError("tunnel_silent", `Nothing received for ${deps.times.timeoutMs} ms`)),
    );
    this.#probe = new Probe(this, deps.probeTimes);
    this.#retireTimer = setInterval(() => this.#retire(), RETIRE_EVERY_MS);
    this.#untilExpiry();
    this.control = new ControlChannel(stream, {
      request: handler.request,
      notice: handler.notice,
      received: (bytes) => this.#pulse.received(bytes),
      closed: (error) => this.close(error),
    });
    session.on("close", () => this.close(null));
    session.on("error", (error) => this.close(error));
  }

  get connectorId(): string {
    return this.peer.connectorId;
  }

  get groupId(): string {
    return this.#groupId;
  }

  get busy(): number {
    return this.#busy;
  }

  get bulk(): number {
    return this.#bulk;
  }

  /** True while exchanges do not get through it. */
  get isStuck(): boolean {
    return this.#state === "stuck";
  }

  /** True when an exchange may begin on it. */
  get isReady(): boolean {
    return this.#state === "ready";
  }

  /** Lanes that carry nothing now. */
  get lanesIdle(): number {
    return this.#lanesOpen.size - this.#busy;
  }

  get exchanges(): number {
    return this.#exchanges;
  }

  get isOpen(): boolean {
    return this.#state !== "closed";
  }

  get hello(): Hello | null {
    return this.#hello;
  }

  get roundTripMs(): number {
    return this.#pulse.roundTripMs;
  }

  get bytesReceived(): number {
    return this.#pulse.bytesReceived;
  }

  /** Bytes on the wire towards the connector, TLS included. */
  get bytesSent(): number {
    return this.#socket.bytesWritten;
  }

  /** The connector has introduced itself: exchanges may come. */
  greet(hello: Hello): void {
    if (this.#state !== "greeting") return;
    this.#hello = hello;
    this.#state = "ready";
    this.#deps.counters.tunnelsConnected += 1;
    this.#deps.registry.add(this.#groupId, this);
  }

  /** True when the connector answers a ping within `ms` milliseconds. */
  answers(ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), ms);
      const answered = (alive: boolean): void => {
        clearTimeout(timer);
        resolve(alive);
      };
      try {
        this.#session.ping((error) => answered(error === null));
      } catch {
        answered(false); // The session has gone.
      }
    });
  }

  /** The connector was moved to another group. */
  move(groupId: string): void {
    if (groupId === this.#groupId) return;
    const { registry } = this.#deps;
    if (this.#state === "ready") registry.remove(this.#groupId, this);
    this.#groupId = groupId;
    if (this.#state === "ready") registry.add(groupId, this);
    this.control.notice("config.changed");
  }

  /** The connector is about to stop: it gets no more exchanges, and lanes go as soon as they are idle. False: no news. */
  drain(): boolean {
    if (this.#state !== "ready" && this.#state !== "stuck") return false;
    if (this.#state === "ready") this.#leaveRegistry();
    this.#state = "draining";
    this.#idleLanes.retireAll();
    this.#retireProbeLane();
    this.drainExchanges();
    return true;
  }

  /** Tells long-lived exchanges to leave. */
  drainExchanges(): void {
    for (const lane of [...this.#lanesOpen]) lane.drain();
  }

  /** Throws `TunnelError` when no lane may be added now: before anything is answered. */
  checkLane(): void {
    if (this.#state !== "ready" && this.#state !== "stuck") {
      throw new TunnelError("tunnel_unknown", "Cannot take lane: tunnel has not said hello");
    }
    if (this.#lanesOpen.size >= this.#deps.maxLanes) {
      throw new TunnelError("too_many_lanes", `Cannot take lane: tunnel has ${this.#lanesOpen.size} already`);
    }
  }

  /** The connector has opened a lane, which was checked and answered with 200. */
  addLane(stream: ServerHttp2Stream): void {
    const lane = new Lane(stream, "broker", this);
    this.#lanesOpen.add(lane);
    this.#deps.counters.lanesOpened += 1;
    this.#deps.counters.lanesIdle += 1;
    this.#offer(lane);
  }

  takeLane(): Lane | undefined {
    const lane = this.#idleLanes.pop();
    if (lane !== undefined) this.#taken();
    return lane;
  }

  wantLanes(count: number): void {
    this.#wanted += count;
    if (this.#wanted === count) {
      setImmediate(() => {
        const n = Math.min(this.#wanted, this.#deps.maxLanes - this.#lanesOpen.size);
        this.#wanted = 0;
        if (n > 0) this.control.notice("lanes.want", { n });
      });
    }
  }

  now(): number {
    return performance.now();
  }

  received(bytes: number): void {
    this.laneBytes += bytes;
    this.#pulse.received(bytes);
  }

  get isFull(): boolean {
    return this.#lanesOpen.size >= this.#deps.maxLanes;
  }

  takeProbeLane(): Lane | undefined {
    const lane = this.#idleLanes.pop();
    if (lane === undefined) this.wantLanes(1);
    return lane;
  }

  /** Call a few times a second, with milliseconds of a monotonic clock: takes it out of rotation, and in again. */
  checkHealth(now: number): void {
    if (this.#state !== "ready" && this.#state !== "stuck") return;
    if (!this.#hello!.capabilities.includes(PROBE_CAPABILITY)) return;
    this.#probe.tick(now);
    if (this.#probe.hasFailed === this.isStuck) return;
    if (this.isStuck) this.#recover();
    else this.#stick();
  }

  becameBulk(): void {
    this.#bulk += 1;
  }

  begun(lane: Lane): void {
    lane.destroy(new Error("A connector cannot send requests"));
  }

  /** A lane's exchange is over. */
  idle(lane: Lane): void {
    if (lane === this.#probe.lane) return this.#retireProbeLane();
    this.#released(lane);
    this.answeredAt = this.now();
    this.#offer(lane);
  }

  closed(lane: Lane, error: Error | null, wasIdle: boolean): void {
    const { counters, log } = this.#deps;
    this.#lanesOpen.delete(lane);
    if (lane !== this.#probe.lane) {
      if (wasIdle) this.#idleLanes.died();
      else this.#released(lane);
    }
    if (error !== null && this.#state !== "closed" && !(error instanceof ControlError)) {
      const { connectorId: connector } = this;
      const { code } = error as { code?: string };
      if (code !== undefined) log.debug("lane lost", { connector, code, error: error.message });
      else log.warn("lane lost", { connector, code, error: error.message });
    }
    counters.lanesIdle -= 1;
    if (error === null) counters.lanesRetired += 1;
    else counters.lanesDestroyed += 1;
  }

  /** Ends the tunnel at once, with what is on it. */
  close(reason: Error | null): void {
    if (this.#state === "closed") return;
    if (this.#state === "ready") this.#leaveRegistry();
    this.#state = "closed";
    this.#pulse[Symbol.dispose]();
    clearInterval(this.#retireTimer);
    clearTimeout(this.#expiryTimer);
    this.#session.destroy();
    this.#onClosed(this, reason);
  }

  /** A tunnel never outlives the certificate that it was opened with. */
  #untilExpiry(): void {
    const left = this.peer.notAfter - Date.now();
    this.#expiryTimer = setTimeout(() => {
      if (left > LONGEST_TIMER_MS) return this.#untilExpiry();
      this.close(new TunnelError("certificate_refused", "The connector's certificate has ended"));
    }, Math.min(Math.max(left, 0), LONGEST_TIMER_MS));
  }

  /** Nothing gets through: nothing more is sent into it, and who waits on it for a head may go elsewhere. */
  #stick(): void {
    this.#leaveRegistry();
    this.#state = "stuck";
    const { connectorId: connector } = this;
    this.#deps.log.warn("tunnel is stuck: no exchange gets through it", { connector, busy: this.#busy });
    for (const lane of [...this.#lanesOpen]) lane.stall();
  }

  #recover(): void {
    this.#state = "ready";
    this.#deps.counters.tunnelsConnected += 1;
    this.#deps.log.info("tunnel is well again", { connector: this.connectorId });
    this.#deps.registry.add(this.#groupId, this);
  }

  #leaveRegistry(): void {
    this.#deps.counters.tunnelsConnected -= 1;
    this.#deps.registry.remove(this.#groupId, this);
  }

  /** The probe's lane goes like all others when the connector stops, which waits for the last one. */
  #retireProbeLane(): void {
    const { lane } = this.#probe;
    if (this.#state === "draining" && lane?.isIdle === true) lane.retire();
  }

  #offer(lane: Lane): void {
    if (this.#state === "ready" && this.#deps.registry.offer(this.#groupId, this, lane)) this.#taken();
    else if (this.#state === "draining" && lane.isIdle) lane.retire();
    else if (lane.isIdle) this.#idleLanes.push(lane);
  }

  #taken(): void {
    this.#busy += 1;
    this.#exchanges += 1;
    this.#deps.counters.lanesIdle -= 1;
    this.#deps.counters.lanesBusy += 1;
  }

  #released(lane: Lane): void {
    this.#busy -= 1;
    if (lane.isBulk) this.#bulk -= 1;
    this.#deps.counters.lanesIdle += 1;
    this.#deps.counters.lanesBusy -= 1;
  }

  #retire(): void {
    this.#idleLanes.retireSurplus(this.#busy);
  }
}
