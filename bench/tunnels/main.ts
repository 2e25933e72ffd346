/** A connector that opens a tunnel and closes it again, over and over, with the connector's own code. Runs as a worker. */
import { randomUUID } from "node:crypto";
import { AllowList } from "../../src/connector/backend/allow_list.ts";
import { createBackends } from "../../src/connector/backend/backends.ts";
import { loadIdentity } from "../../src/connector/identity/identity.ts";
import { KnownApps } from "../../src/connector/known_apps.ts";
import { Supervisor } from "../../src/connector/supervisor.ts";
import type { TunnelContext } from "../../src/connector/tunnel.ts";
import { silentLog } from "../../src/platform/log.ts";
import { OLDEST_PROTOCOL_REVISION, PROTOCOL_REVISION } from "../../src/protocol/messages.ts";
import { CreditBudget } from "../../src/tunnel/credit_budget.ts";
import { serveCalls } from "../stage/serve_calls.ts";

/** What to do. */
export interface TunnelsOptions {
  /** The state folder of a registered connector that does not run. */
  stateDir: string;
  count: number;
}

const STEP_MS = 10_000;
const DAY_MS = 86_400_000;

const backends = createBackends({ allow: new AllowList([]), log: silentLog });
const context: TunnelContext = {
  backends,
  apps: new KnownApps(),
  health: { failed() {}, changed() {}, outOfReach: [] },
  budget: new CreditBudget(256 * 1024 * 1024),
  log: silentLog,
  sessionLog: { enabled: false, write() {} },
  times: { pingIntervalMs: 5_000, timeoutMs: 15_000 },
  maxLanes: 16_384,
  configPullIntervalMs: DAY_MS,
  versionPollIntervalMs: DAY_MS,
  hello: {
    revision: PROTOCOL_REVISION,
    oldestRevision: OLDEST_PROTOCOL_REVISION,
    capabilities: [],
    softwareVersion: "0.0.0",
    machineName: "bench",
    os: "bench",
    instanceId: randomUUID(),
  },
  onNotice() {},
  onVersion() {},
};

/** Opens and closes `count` tunnels, one after another; rejects when one does not get ready. */
async function openAndClose({ stateDir, count }: TunnelsOptions): Promise<void> {
  const identity = await loadIdentity(stateDir);
  const target = () => ({
    address: identity.address,
    tunnelName: identity.tunnelName,
    ca: identity.ca,
    certificate: identity.certificate,
    key: identity.key.reveal(),
  });
  for (let done = 0; done < count; done++) {
    const over = new AbortController();
    const supervisor = new Supervisor({
      context,
      log: silentLog,
      stepMs: STEP_MS,
      target,
      onReady: () => over.abort(),
    });
    await supervisor.run(over.signal);
  }
}

/** Collects garbage: what stays of a tunnel is asked, not what is not yet collected. */
function collect(): void {
  (globalThis as { gc?: () => void }).gc?.();
}

serveCalls({ openAndClose, collect });
