/** How the exchanges of an app are spread over the tunnels of its group. */
export type Balancing = "least_in_flight" | "round_robin" | "latency";

/** What keeps the exchanges of one user on one connector. */
export type Affinity = "none" | "cookie" | "address";

/** What the registry must know of an app to choose a tunnel: made once a route, shared by all its exchanges. */
export interface Spread {
  readonly appId: string;
  readonly groupId: string;
  readonly balancing: Balancing;
  readonly affinity: Affinity;
  /** Turns so far, or whose turn it is, among those equally good; the registry's own. */
  turn: number;
}

/** The spread of an app. */
export function spreadOf(
  app: { id: string; groupId: string; balancing?: Balancing; affinity?: Affinity },
): Spread {
  const { id, groupId, balancing = "least_in_flight", affinity = "none" } = app;
  return { appId: id, groupId, balancing, affinity, turn: 0 };
}
