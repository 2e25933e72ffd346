import { randomUUID } from "node:crypto";
import { AllowList } from "../../src/connector/backend/allow_list.ts";
import { createBackends } from "../../src/connector/backend/backends.ts";
import { KnownApps } from "../../src/connector/known_apps.ts";
import type { TunnelContext } from "../../src/connector/tunnel_context.ts";
import { silentLog } from "../../src/platform/log.ts";
import { OLDEST_PROTOCOL_REVISION, PROTOCOL_REVISION } from "../../src/protocol/messages.ts";
import { CreditBudget } from "../../src/tunnel/credit_budget.ts";

const DAY_MS = 86_400_000;

const backends = createBackends({ allow: new AllowList([]), log: silentLog });
const budget = new CreditBudget(256 * 1024 * 1024);

/**
 * What the tunnels of one connector need, where tunnels are what it is about: it says and asks nothing by itself. Many in
 * one process share what costs memory.
 */
export function idleConnector(capabilities: readonly string[] = []): TunnelContext {
  return {
    backends,
    apps: new KnownApps(),
    health: { failed() {}, changed() {}, outOfReach: [] },
    budget,
    log: silentLog,
    sessionLog: { enabled: false, write() {} },
    times: { pingIntervalMs: 5_000, timeoutMs: 15_000 },
    maxLanes: 16_384,
    configPullIntervalMs: DAY_MS,
    versionPollIntervalMs: DAY_MS,
    hello: {
      revision: PROTOCOL_REVISION,
      oldestRevision: OLDEST_PROTOCOL_REVISION,
      capabilities: [...capabilities],
      softwareVersion: "0.0.1",
      machineName: "simulated",
      os: "simulated",
      instanceId: randomUUID(),
    },
    onNotice() {},
    onVersion() {},
  };
}
