import { performance } from "node:perf_hooks";
import type { CreditBudget } from "../../tunnel/credit_budget.ts";
import type { LanePort, Lanes, LaneWaiter } from "./port.ts";
import { WaitingRequests } from "./waiting.ts";

/** A ready tunnel, as the registry sees it. */
export interface RegisteredTunnel {
  readonly connectorId: string;
  /** Exchanges in flight. */
  readonly busy: number;
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
  /** Lanes asked for and not yet come. */
  wanted: number;
}

const SWEEP_MS = 100;

/** Which tunnels serve which group now, and who waits for one: the meeting point of ingress and tunnels. */
export class Registry implements Lanes, Disposable {
  readonly budget: CreditBudget;
  readonly #settings: RegistrySettings;
  readonly #groups = new Map<string, Group>();
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
    if (group.waiting.size > 0) this.#want(group, tunnel);
  }

  /** A tunnel no longer serves a group. Removing one that is not there does nothing. */
  remove(groupId: string, tunnel: RegisteredTunnel): void {
    const group = this.#groups.get(groupId);
    const at = group?.tunnels.indexOf(tunnel) ?? -1;
    if (group === undefined || at < 0) return;
    group.tunnels.splice(at, 1);
    group.wanted = 0;
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
    this.#waitingTotal -= 1;
    waiter.laneReady(lane, tunnel.connectorId);
    return true;
  }

  acquire(groupId: string, waiter: LaneWaiter): void {
    const group = this.#groups.get(groupId);
    if (group === undefined || group.tunnels.length === 0) return this.#wait(this.#group(groupId), waiter);
    const tunnels = group.tunnels;
    let best = tunnels[0]!;
    for (let i = 1; i < tunnels.length; i++) if (tunnels[i]!.busy < best.busy) best = tunnels[i]!;
    let lane = best.takeLane();
    for (let i = 0; lane === undefined && i < tunnels.length; i++) {
      best = tunnels[i]!;
      lane = best.takeLane();
    }
    if (lane === undefined) return this.#wait(group, waiter);
    waiter.laneReady(lane, best.connectorId);
  }

  cancel(groupId: string, waiter: LaneWaiter): void {
    if (this.#groups.get(groupId)?.waiting.remove(waiter)) this.#waitingTotal -= 1;
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
      group = { tunnels: [], waiting: new WaitingRequests(), wanted: 0 };
      this.#groups.set(groupId, group);
    }
    return group;
  }

  #wait(group: Group, waiter: LaneWaiter): void {
    const connected = group.tunnels.length > 0;
    const { waitForConnectorMs, waitForConnectorMax, waitForLaneMax } = this.#settings;
    if (
      group.waiting.size >= (connected ? waitForLaneMax : waitForConnectorMax) || waitForConnectorMs === 0
    ) {
      return waiter.laneFailed(connected ? "overloaded" : "no_connector");
    }
    group.waiting.add(waiter, performance.now() + waitForConnectorMs);
    this.#waitingTotal += 1;
    this.#sweep ??= setInterval(() => this.#expire(), SWEEP_MS);
    if (connected) {
      let best = group.tunnels[0]!;
      for (const tunnel of group.tunnels) if (tunnel.busy < best.busy) best = tunnel;
      this.#want(group, best);
    }
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
        this.#waitingTotal -= 1;
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
