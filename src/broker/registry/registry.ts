import { performance } from "node:perf_hooks";
import type { CreditBudget } from "../../tunnel/credit_budget.ts";
import { BackendHealth } from "./backend_health.ts";
import { type Candidate, chooseTunnel, type Circumstances } from "./balance.ts";
import { PeakEwma } from "./peak_ewma.ts";
import type { LanePort, Lanes, LaneWaiter } from "./port.ts";
import type { Spread } from "./spread.ts";
import { WaitingRequests } from "./waiting.ts";

/** A ready tunnel, as the registry sees it. */
export interface RegisteredTunnel extends Candidate {
  /** An idle lane, most recently used first; undefined when there is none. */
  takeLane(): LanePort | undefined;
  /** Asks the connector to open so many lanes at once. */
  wantLanes(count: number): void;
}

/** How long and how many requests wait. */
export interface RegistrySettings {
  waitForConnectorMs: number;
  waitForConnectorMax: number;
  /** How many may wait for a lane of a tunnel that is there. */
  waitForLaneMax: number;
}

interface Group {
  tunnels: RegisteredTunnel[];
  waiting: WaitingRequests;
  /** How many of an app wait. */
  waitingOf: Map<string, number>;
  /** Lanes asked for and not yet come. */
  wanted: number;
}

const SWEEP_MS = 100;

/** Which tunnels serve which group now, and who waits for one: the meeting point of ingress and tunnels. */
export class Registry implements Lanes, Circumstances, Disposable {
  readonly budget: CreditBudget;
  readonly health: BackendHealth = new BackendHealth();
  readonly #settings: RegistrySettings;
  readonly #groups = new Map<string, Group>();
  /** By app, then by connector; only of apps that are balanced by latency. */
  readonly #latencies = new Map<string, Map<string, PeakEwma>>();
  #waitingTotal = 0;
  #sweep: NodeJS.Timeout | null = null;

  constructor(budget: CreditBudget, settings: RegistrySettings) {
    this.budget = budget;
    this.#settings = settings;
  }

  /** Requests that wait now, over all groups. */
  get waiting(): number {
    return this.#waitingTotal;
  }

  /** Ready tunnels of a group. */
  tunnelsOf(groupId: string): readonly RegisteredTunnel[] {
    return this.#groups.get(groupId)?.tunnels ?? [];
  }

  /** A tunnel is ready to serve a group. */
  add(groupId: string, tunnel: RegisteredTunnel): void {
    const group = this.#group(groupId);
    group.tunnels.push(tunnel);
    while (group.waiting.size > 0) {
      const lane = tunnel.takeLane();
      if (lane === undefined) return this.#want(group, tunnel);
      const waiter = group.waiting.shift()!;
      this.#unqueued(group, waiter);
      waiter.laneReady(lane, tunnel.connectorId);
    }
  }

  /** A tunnel no longer serves a group. Removing one that is not there does nothing. */
  remove(groupId: string, tunnel: RegisteredTunnel): void {
    const group = this.#groups.get(groupId);
    const at = group?.tunnels.indexOf(tunnel) ?? -1;
    if (group === undefined || at < 0) return;
    group.tunnels.splice(at, 1);
    group.wanted = 0;
    if (!group.tunnels.some(({ connectorId }) => connectorId === tunnel.connectorId)) {
      this.health.forget(tunnel.connectorId);
      for (const app of this.#latencies.values()) app.delete(tunnel.connectorId);
    }
    if (group.tunnels.length === 0 && group.waiting.size === 0) this.#groups.delete(groupId);
    else if (group.waiting.size > 0 && group.tunnels.length > 0) this.#want(group, group.tunnels[0]!);
  }

  /** A lane of a tunnel has become idle. True: a waiting request has taken it. */
  offer(groupId: string, tunnel: RegisteredTunnel, lane: LanePort): boolean {
    const group = this.#groups.get(groupId);
    if (group === undefined) return false;
    if (group.wanted > 0) group.wanted -= 1;
    if (group.waiting.size === 0) return false;
    const waiter = group.waiting.shift()!;
    this.#unqueued(group, waiter);
    waiter.laneReady(lane, tunnel.connectorId);
    return true;
  }

  acquire(waiter: LaneWaiter): void {
    const { groupId } = waiter.spread;
    const group = this.#groups.get(groupId);
    if (group === undefined || group.tunnels.length === 0) return this.#wait(this.#group(groupId), waiter);
    const { tunnels } = group;
    let best = chooseTunnel(tunnels, waiter, this);
    let lane = best.takeLane();
    for (let i = 0; lane === undefined && i < tunnels.length; i++) {
      if (waiter.tried.includes(tunnels[i]!.connectorId) && !waiter.tried.includes(best.connectorId)) {
        continue;
      }
      best = tunnels[i]!;
      lane = best.takeLane();
    }
    if (lane === undefined) return this.#wait(group, waiter);
    waiter.laneReady(lane, best.connectorId);
  }

  cancel(waiter: LaneWaiter): void {
    const group = this.#groups.get(waiter.spread.groupId);
    if (group?.waiting.remove(waiter)) this.#unqueued(group, waiter);
  }

  hasOther({ spread, tried }: LaneWaiter): boolean {
    return this.tunnelsOf(spread.groupId).some(({ connectorId }) => !tried.includes(connectorId));
  }

  hasAny({ spread }: LaneWaiter): boolean {
    return this.tunnelsOf(spread.groupId).length > 0;
  }

  answered(spread: Spread, connectorId: string, ms: number): void {
    if (!this.health.isEmpty) this.health.answered(spread.appId, connectorId, performance.now());
    if (spread.balancing === "latency") this.#observe(spread.appId, connectorId, ms);
  }

  unreachable(spread: Spread, connectorId: string): void {
    this.health.failed(spread.appId, connectorId, performance.now());
  }

  exhausted(connectorId: string): void {
    this.health.exhausted(connectorId, performance.now());
  }

  isUnwell(appId: string, connectorId: string): boolean {
    return !this.health.isEmpty && this.health.isUnwell(appId, connectorId, performance.now());
  }

  latency(appId: string, connectorId: string): number {
    return this.#latencies.get(appId)?.get(connectorId)?.value(performance.now()) ?? 0;
  }

  /** Fails all who wait and stops. */
  [Symbol.dispose](): void {
    if (this.#sweep !== null) clearInterval(this.#sweep);
    this.#sweep = null;
    for (const group of this.#groups.values()) {
      for (let waiter = group.waiting.shift(); waiter; waiter = group.waiting.shift()) {
        waiter.laneFailed("no_connector");
      }
    }
    this.#waitingTotal = 0;
  }

  #group(groupId: string): Group {
    let group = this.#groups.get(groupId);
    if (group === undefined) {
      group = { tunnels: [], waiting: new WaitingRequests(), waitingOf: new Map(), wanted: 0 };
      this.#groups.set(groupId, group);
    }
    return group;
  }

  #wait(group: Group, waiter: LaneWaiter): void {
    const connected = group.tunnels.length > 0;
    const { waitForConnectorMs, waitForConnectorMax, waitForLaneMax } = this.#settings;
    const { appId } = waiter.spread;
    const waitOfApp = group.waitingOf.get(appId) ?? 0;
    const isFull = connected ? group.waiting.size >= waitForLaneMax : waitOfApp >= waitForConnectorMax;
    if (isFull || waitForConnectorMs === 0) {
      return waiter.laneFailed(connected ? "overloaded" : "no_connector");
    }
    group.waiting.add(waiter, performance.now() + waitForConnectorMs);
    group.waitingOf.set(appId, waitOfApp + 1);
    this.#waitingTotal += 1;
    this.#sweep ??= setInterval(() => this.#expire(), SWEEP_MS);
    if (connected) this.#want(group, chooseTunnel(group.tunnels, waiter, this));
  }

  /** A waiter has been taken out of the queue. */
  #unqueued(group: Group, { spread }: LaneWaiter): void {
    this.#waitingTotal -= 1;
    const left = (group.waitingOf.get(spread.appId) ?? 1) - 1;
    if (left > 0) group.waitingOf.set(spread.appId, left);
    else group.waitingOf.delete(spread.appId);
  }

  #observe(appId: string, connectorId: string, ms: number): void {
    let app = this.#latencies.get(appId);
    if (app === undefined) this.#latencies.set(appId, app = new Map());
    const now = performance.now();
    const known = app.get(connectorId);
    if (known === undefined) app.set(connectorId, new PeakEwma(ms, now));
    else known.observe(ms, now);
  }

  /** Asks for as many lanes as wait beyond what was asked for already. */
  #want(group: Group, tunnel: RegisteredTunnel): void {
    const missing = group.waiting.size - group.wanted;
    if (missing <= 0) return;
    group.wanted += missing;
    tunnel.wantLanes(missing);
  }

  #expire(): void {
    const now = performance.now();
    for (const [id, group] of this.#groups) {
      for (const waiter of group.waiting.expired(now)) {
        this.#unqueued(group, waiter);
        waiter.laneFailed(group.tunnels.length > 0 ? "overloaded" : "no_connector");
      }
      if (group.waiting.size === 0) {
        group.wanted = 0;
        if (group.tunnels.length === 0) this.#groups.delete(id);
      }
    }
    if (this.#waitingTotal > 0 || this.#sweep === null) return;
    clearInterval(this.#sweep);
    this.#sweep = null;
  }
}
