import type { Maintenance } from "../app_traffic.ts";
import type { SessionLog } from "../../platform/log.ts";
import type { FlushQueue } from "../../tunnel/flush_queue.ts";
import type { DataPlaneCounters } from "../metrics/counters.ts";
import type { Lanes } from "../registry/port.ts";
import type { Spread } from "../registry/spread.ts";
import type { AppGates } from "./app_gates.ts";
import type { AppLimits } from "./app_limits.ts";
import type { RequestFacts } from "./client_facts.ts";
import type { IngressCode } from "./error_table.ts";
import type { FailureLog } from "./failure_log.ts";
import type { IdleSweep } from "./idle_sweep.ts";
import type { KeptBodies } from "./kept_bodies.ts";
import type { PausedUsers } from "./paused_users.ts";
import type { ViaNames } from "./request_marks.ts";
import type { ResponseRules } from "./response/response_rules.ts";
import type { RetryBudget } from "./retry_budget.ts";
import type { Router } from "./router.ts";

/** What every exchange of the ingress shares. */
export interface ExchangeContext {
  lanes: Lanes;
  counters: DataPlaneCounters;
  sessionLog: SessionLog;
  /** Told of requests that could not be served while the session log is off. */
  failures: FailureLog;
  /** Flushes once a turn of the event loop. */
  turns: FlushQueue;
  gates: AppGates;
  /** How long users may neither send what they have begun to send nor read, in milliseconds; 0: for ever. */
  userIdleMs: number;
  /** Ends what is silent for too long. */
  idleSweep: IdleSweep;
  /** Notices users of HTTP/1.1 who leave while nobody reads what they send. */
  pausedUsers: PausedUsers;
  via: ViaNames;
  kept: KeptBodies;
  router: Pick<Router, "current">;
}

/** Makes a whole error response: `headers` are names and values in turn. */
export type ErrorPages = (
  code: IngressCode,
  requestId: string,
  accept: string | undefined,
  method: string,
  maintenance?: Maintenance,
) => { readonly status: number; readonly headers: readonly string[]; readonly body: Uint8Array };

/** Which app a request is for, and what of it is for the logs. */
export interface ExchangeTarget {
  appId: string;
  appName: string;
  /** How its exchanges are spread over tunnels, and what keeps this user's on one connector; empty: nothing does. */
  spread: Spread;
  affinityKey: string;
  retries: RetryBudget;
  /** Configuration revision at which the app last changed. */
  revision: number;
  /** Null where the app has none. */
  limits: AppLimits | null;
  requestId: string;
  clientIp: string;
  scheme: string;
  host: string;
  path: string;
  /** What is done to the response; null where nothing is. */
  rules: ResponseRules | null;
  /** Host and scheme as the user knows them. */
  user: RequestFacts;
}
