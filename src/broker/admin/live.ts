import type { Timestamp, TunnelState } from "../model.ts";

/** One tunnel as it is now. Totals count from its start. */
export interface LiveTunnel {
  /** Random id of the connector's process. */
  instanceId: string;
  state: TunnelState;
  externalIp: string;
  connectedAt: Timestamp;
  softwareVersion: string;
  /** Configuration revision that the connector last confirmed. */
  configRevision: number;
  lanesIdle: number;
  lanesBusy: number;
  /** Total exchanges, and body bytes from users and to users. */
  exchanges: number;
  bytesIn: number;
  bytesOut: number;
  /** Milliseconds of the newest ping; null before the first. */
  rttMs: number | null;
}

/** Whether users can be served, and if not, why: short sentences for an operator. */
export interface Readiness {
  ready: boolean;
  reasons: string[];
}

/** What the admin API asks of the running broker. Answers at once, from memory. */
export interface LiveConnectors {
  /** Tunnels of a connector, oldest first; empty when it is not connected. */
  tunnels(connectorId: string): readonly LiveTunnel[];
  /** Ids of apps whose backends a connector cannot reach now. */
  appsOutOfReach(connectorId: string): readonly string[];
  ready(): Readiness;
}
