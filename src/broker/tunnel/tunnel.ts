import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { Log } from "../../platform/log.ts";
import type { Hello } from "../../protocol/messages.ts";
import { PROBE_CAPABILITY } from "../../protocol/probe.ts";
import { ControlChannel, type ControlHandler } from "../../tunnel/control_channel.ts";
import { Backlog } from "../../tunnel/backlog.ts";
import type { CreditBudget } from "../../tunnel/credit_budget.ts";
import { ControlError } from "../../tunnel/errors.ts";
import { FlushQueue } from "../../tunnel/flush_queue.ts";
import type { Lane } from "../../tunnel/lane.ts";
import { Pulse, type PulseTimes } from "../../tunnel/pulse.ts";
import type { DataPlaneCounters } from "../metrics/counters.ts";
import type { TunnelState } from "../model.ts";
import type { RegisteredTunnel, Registry } from "../registry/registry.ts";
import { answersPing } from "./answers_ping.ts";
import { CertificateEnd } from "./certificate_end.ts";
import { TunnelError } from "./errors.ts";
import type { ProbeTimes } from "./probe.ts";
import { TunnelLanes, type TunnelOfLanes } from "./tunnel_lanes.ts";

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

/** The broker's end of one tunnel: its state, its control channel and its place in the registry. */
export class BrokerTunnel implements TunnelOfLanes, RegisteredTunnel {
  /** The connection that it is. */
  readonly session: ServerHttp2Session;
  readonly peer: TunnelPeer;
  readonly connectedAt: number = Date.now();
  readonly budget: CreditBudget;
  readonly flushes: FlushQueue = new FlushQueue();
  readonly backlog: Backlog = new Backlog();
  readonly control: ControlChannel;
  readonly #deps: TunnelDeps;
  readonly #socket: ServerHttp2Session["socket"];
  readonly #lanes: TunnelLanes;
  readonly #pulse: Pulse;
  readonly #certificateEnd: CertificateEnd;
  readonly #onClosed: (tunnel: BrokerTunnel, reason: Error | null) => void;
  /** While `stuck` it is out of rotation. */
  #state: TunnelState | "closed" = "greeting";
  #groupId: string;
  #hello: Hello | null = null;
  /** Revision that the connector last asked for, for display. */
  configRevision = 0;
  /** Announcements of trust anchors that the connector has not answered. */
  trustTold = 0;

  constructor(
    session: ServerHttp2Session,
    stream: ServerHttp2Stream,
    peer: TunnelPeer,
    deps: TunnelDeps,
    handler: Omit<ControlHandler, "received" | "closed">,
    onClosed: (tunnel: BrokerTunnel, reason: Error | null) => void,
  ) {
    this.session = session;
    this.peer = peer;
    this.#groupId = peer.groupId;
    this.#deps = deps;
    this.#socket = session.socket;
    this.#onClosed = onClosed;
    this.budget = deps.registry.budget;
    this.#pulse = new Pulse(
      session,
      deps.times,
      () => this.close(new TunnelError("tunnel_silent", `Nothing received for ${deps.times.timeoutMs} ms`)),
    );
    this.#lanes = new TunnelLanes(this, deps.maxLanes, deps.counters, deps.probeTimes);
    this.#certificateEnd = new CertificateEnd(
      peer.notAfter,
      () => this.close(new TunnelError("certificate_refused", "The connector's certificate has ended")),
    );
    this.control = new ControlChannel(stream, {
      request: handler.request,
      notice: handler.notice,
      message: handler.message,
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
    return this.#lanes.busy;
  }

  get bulk(): number {
    return this.#lanes.bulk;
  }

  get state(): TunnelState | "closed" {
    return this.#state;
  }

  /** True while exchanges do not get through it. */
  get isStuck(): boolean {
    return this.#state === "stuck";
  }

  /** True when an exchange may begin on it. */
  get isReady(): boolean {
    return this.#state === "ready";
  }

  get isDraining(): boolean {
    return this.#state === "draining";
  }

  /** Lanes that carry nothing now. */
  get lanesIdle(): number {
    return this.#lanes.idleCount;
  }

  get exchanges(): number {
    return this.#lanes.exchanges;
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
    this.#enterRegistry();
  }

  /** True when the connector answers a ping within `ms` milliseconds. */
  answers(ms: number): Promise<boolean> {
    return answersPing(this.session, ms);
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
    this.#lanes.retireIdle();
    this.drainExchanges();
    return true;
  }

  /** Tells long-lived exchanges to leave. */
  drainExchanges(): void {
    this.#lanes.drainExchanges();
  }

  /** Throws `TunnelError` when no lane may be added now: before anything is answered. */
  checkLane(): void {
    if (this.#state !== "ready" && this.#state !== "stuck") {
      throw new TunnelError("tunnel_unknown", "Cannot take lane: tunnel has not said hello");
    }
    this.#lanes.check();
  }

  /** The connector has opened a lane, which was checked and answered with 200. */
  addLane(stream: ServerHttp2Stream): void {
    this.#lanes.add(stream);
  }

  takeLane(): Lane | undefined {
    return this.#lanes.take();
  }

  wantLanes(count: number): void {
    this.#lanes.want(count);
  }

  askForLanes(n: number): void {
    this.control.notice("lanes.want", { n });
  }

  received(bytes: number): void {
    this.#pulse.received(bytes);
  }

  offer(lane: Lane): boolean {
    return this.#state === "ready" && this.#deps.registry.offer(this.#groupId, this, lane);
  }

  laneLost(error: Error): void {
    if (this.#state === "closed" || error instanceof ControlError) return;
    const { connectorId: connector } = this;
    const { code } = error as { code?: string };
    if (code !== undefined) this.#deps.log.debug("lane lost", { connector, code, error: error.message });
    else this.#deps.log.warn("lane lost", { connector, code, error: error.message });
  }

  /** Call a few times a second, with milliseconds of a monotonic clock: takes it out of rotation, and in again. */
  checkHealth(now: number): void {
    if (this.#state !== "ready" && this.#state !== "stuck") return;
    if (!this.#hello!.capabilities.includes(PROBE_CAPABILITY)) return;
    const { probe } = this.#lanes;
    probe.tick(now);
    if (probe.hasFailed === this.isStuck) return;
    if (this.isStuck) this.#recover();
    else this.#stick();
  }

  /** Ends the tunnel at once, with what is on it. */
  close(reason: Error | null): void {
    if (this.#state === "closed") return;
    if (this.#state === "ready") this.#leaveRegistry();
    this.#state = "closed";
    this.#pulse[Symbol.dispose]();
    this.#lanes[Symbol.dispose]();
    this.backlog[Symbol.dispose]();
    this.#certificateEnd[Symbol.dispose]();
    this.session.destroy();
    this.#onClosed(this, reason);
  }

  /** Nothing gets through: nothing more is sent into it, and who waits on it for a head may go elsewhere. */
  #stick(): void {
    this.#leaveRegistry();
    this.#state = "stuck";
    const { connectorId: connector } = this;
    this.#deps.log.warn("tunnel is stuck: no exchange gets through it", { connector, busy: this.busy });
    this.#lanes.stall();
  }

  #recover(): void {
    this.#state = "ready";
    this.#deps.log.info("tunnel is well again", { connector: this.connectorId });
    this.#enterRegistry();
  }

  #enterRegistry(): void {
    this.#deps.counters.tunnelsConnected += 1;
    this.#deps.registry.add(this.#groupId, this);
  }

  #leaveRegistry(): void {
    this.#deps.counters.tunnelsConnected -= 1;
    this.#deps.registry.remove(this.#groupId, this);
  }
}
