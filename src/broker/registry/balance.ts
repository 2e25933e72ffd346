import { affinityWeight, connectorTag } from "./affinity.ts";
import type { LaneWaiter } from "./port.ts";

/** A tunnel, as far as a choice depends on it. */
export interface Candidate {
  readonly connectorId: string;
  /** Exchanges in flight. */
  readonly busy: number;
  /** Those of them that have moved more than a short exchange does. */
  readonly bulk: number;
}

/** What else a choice depends on. */
export interface Circumstances {
  /** True when a connector cannot reach the app's backend now. */
  isUnwell(appId: string, connectorId: string): boolean;
  /** Milliseconds in which a connector's backend of the app lately began to answer; 0 when not known. */
  latency(appId: string, connectorId: string): number;
}

/** Why a tunnel is passed over where there is another; a higher sum is worse. */
const HAS_BULK = 1;
const IS_UNWELL = 2;
const WAS_TRIED = 4;

/**
 * Chooses the tunnel for a request: first who has not failed it and can reach the backend, then whom its affinity names,
 * then one that carries no bulk, then by the app's balancing. `tunnels` is not empty.
 */
export function chooseTunnel<T extends Candidate>(
  tunnels: readonly T[],
  waiter: LaneWaiter,
  circumstances: Circumstances,
): T {
  if (tunnels.length === 1) return tunnels[0]!;
  const { spread, affinityKey, tried } = waiter;
  const flaws = (tunnel: T): number =>
    (tunnel.bulk > 0 ? HAS_BULK : 0) +
    (circumstances.isUnwell(spread.appId, tunnel.connectorId) ? IS_UNWELL : 0) +
    (tried.includes(tunnel.connectorId) ? WAS_TRIED : 0);
  if (affinityKey !== "") {
    const own = ofOneConnector(tunnels, affinityKey, spread.affinity, (t) => flaws(t) < IS_UNWELL);
    if (own.length > 0) return least(own, 0, flaws, (tunnel) => tunnel.busy);
  }
  if (spread.balancing === "round_robin") return next(tunnels, flaws, spread);
  spread.turn = (spread.turn + 1) % tunnels.length; // Who is equally good takes turns.
  if (spread.balancing === "least_in_flight") {
    return least(tunnels, spread.turn, flaws, (tunnel) => tunnel.busy);
  }
  return least(tunnels, spread.turn, flaws, (tunnel) =>
    // Who is not known yet counts as quick, so that it becomes known.
    circumstances.latency(spread.appId, tunnel.connectorId) * (tunnel.busy + 1));
}

/** The usable tunnels of the connector that the key belongs to; none when the key names one that is not there. */
function ofOneConnector<T extends Candidate>(
  tunnels: readonly T[],
  key: string,
  affinity: string,
  isUsable: (tunnel: T) => boolean,
): T[] {
  const usable = tunnels.filter(isUsable);
  if (affinity === "cookie") return usable.filter((tunnel) => connectorTag(tunnel.connectorId) === key);
  let owner = "";
  let highest = -1;
  for (const { connectorId } of usable) {
    const weight = affinityWeight(key, connectorId);
    if (weight > highest) [owner, highest] = [connectorId, weight];
  }
  return usable.filter((tunnel) => tunnel.connectorId === owner);
}

/** The least flawed, of these the least loaded, of these the first from `start` on. */
function least<T extends Candidate>(
  tunnels: readonly T[],
  start: number,
  flaws: (tunnel: T) => number,
  load: (tunnel: T) => number,
): T {
  let best = tunnels[start]!;
  let bestFlaws = flaws(best);
  let bestLoad = load(best);
  for (let i = 1; i < tunnels.length; i++) {
    const tunnel = tunnels[(start + i) % tunnels.length]!;
    const has = flaws(tunnel);
    if (has > bestFlaws) continue;
    const bears = load(tunnel);
    if (has === bestFlaws && bears >= bestLoad) continue;
    best = tunnel;
    bestFlaws = has;
    bestLoad = bears;
  }
  return best;
}

/** The next in turn among the least flawed. Bulk costs its connector no turn, but goes by who takes it. */
function next<T extends Candidate>(
  tunnels: readonly T[],
  flaws: (tunnel: T) => number,
  spread: { turn: number },
): T {
  const count = tunnels.length;
  let fewest = Number.POSITIVE_INFINITY;
  for (const tunnel of tunnels) fewest = Math.min(fewest, flaws(tunnel) & ~HAS_BULK);
  for (let i = 1; i <= count; i++) {
    const turn = spread.turn + i;
    const tunnel = tunnels[turn % count]!;
    if ((flaws(tunnel) & ~HAS_BULK) > fewest) continue;
    spread.turn = turn;
    return tunnel.bulk === 0 ? tunnel : standIn(tunnels, tunnel, Math.floor(turn / count) + turn % count);
  }
  return tunnels[0]!;
}

/** Who takes the turn of a tunnel with bulk: each of its connector's without in its round; itself where there is none. */
function standIn<T extends Candidate>(tunnels: readonly T[], one: T, round: number): T {
  const free = tunnels.filter(({ connectorId, bulk }) => connectorId === one.connectorId && bulk === 0);
  return free[round % free.length] ?? one;
}
