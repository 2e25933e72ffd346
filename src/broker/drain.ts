import { setTimeout as delay } from "node:timers/promises";
import type { BrokerConfiguration } from "./config.ts";
import type { DataPlaneCounters } from "./metrics/counters.ts";
import type { Ports } from "./ports.ts";
import type { TunnelSide } from "./tunnel_side.ts";
import type { UserSide } from "./user_side.ts";

/** What comes to its end. */
export interface DrainParts {
  config: Pick<BrokerConfiguration, "drainMs" | "drainDelayMs">;
  ports: Ports;
  users: UserSide;
  connectors: TunnelSide;
  counters: DataPlaneCounters;
}

const DRAIN_CHECK_MS = 20;

/** Ends all that listens, in the order that lets exchanges in flight finish within the grace. */
export async function drain({ config, ports, users, connectors, counters }: DrainParts): Promise<void> {
  const { drainMs } = config;
  // Whoever balances load in front of us sees it on /readyz, and sends elsewhere what we would have to end.
  await delay(config.drainDelayMs);
  connectors.tunnels.announceDrain(drainMs);
  const { plain, ...shared } = ports;
  const closing = Object.values(shared).map((port) => port.close(drainMs));
  // Users' connections end with the response that is under way or comes next; tunnels stay until all are gone.
  await Promise.all([users.publicTls.close(drainMs), plain?.close(drainMs)]);
  await finished(counters, drainMs);
  connectors.end();
  await Promise.all(closing);
}

/** Resolves when no exchange is in flight, or when the grace is over. */
async function finished(counters: DataPlaneCounters, graceMs: number): Promise<void> {
  const end = performance.now() + graceMs;
  while (counters.exchangesStarted > counters.exchangesFinished && performance.now() < end) {
    await delay(DRAIN_CHECK_MS);
  }
}
