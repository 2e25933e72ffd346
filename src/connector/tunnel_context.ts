import type { Log, SessionLog } from "../platform/log.ts";
import type { Hello, VersionAnswer } from "../protocol/messages.ts";
import type { Fields } from "../tunnel/control_channel.ts";
import type { CreditBudget } from "../tunnel/credit_budget.ts";
import type { PulseTimes } from "../tunnel/pulse.ts";
import type { Backends } from "./backend/port.ts";
import type { BackendHealth } from "./backend_health.ts";
import type { KnownApps } from "./known_apps.ts";

/** Where the broker is told which trust anchors are on disk: a tunnel. */
export interface TrustTeller {
  tellTrust(roots: string[]): void;
}

/** What all tunnels of this connector share. */
export interface TunnelContext {
  backends: Backends;
  apps: KnownApps;
  health: Pick<BackendHealth, "failed" | "changed" | "outOfReach">;
  budget: CreditBudget;
  log: Log;
  sessionLog: SessionLog;
  times: PulseTimes;
  maxLanes: number;
  configPullIntervalMs: number;
  versionPollIntervalMs: number;
  hello: Hello;
  /** The broker has something to say that is not this tunnel's own business. */
  onNotice: (type: string, fields: Fields, tunnel: TrustTeller) => void;
  onVersion: (answer: VersionAnswer) => void;
}
