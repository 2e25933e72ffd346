/**
 * Many connectors in one process, with the connector's own code: `node crowd_main.ts FILE PORT`. Prints a line once all
 * of them have been connected, and ends with its standard input.
 */
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { AllowList } from "../../src/connector/backend/allow_list.ts";
import { createBackends } from "../../src/connector/backend/backends.ts";
import { KnownApps } from "../../src/connector/known_apps.ts";
import { Supervisor } from "../../src/connector/supervisor.ts";
import type { TunnelContext } from "../../src/connector/tunnel.ts";
import { silentLog } from "../../src/platform/log.ts";
import { OLDEST_PROTOCOL_REVISION, PROTOCOL_REVISION } from "../../src/protocol/messages.ts";
import { PROBE_CAPABILITY } from "../../src/protocol/probe.ts";
import { CreditBudget } from "../../src/tunnel/credit_budget.ts";
import type { Crowd } from "./crowd.ts";

const [file, port] = process.argv.slice(2);
const { ca, tunnelName, members } = JSON.parse(await readFile(file!, "utf8")) as Crowd;
const DAY_MS = 86_400_000;
const STEP_MS = 10_000;

const backends = createBackends({ allow: new AllowList([]), log: silentLog });
const budget = new CreditBudget(256 * 1024 * 1024);
const context = (): TunnelContext => ({
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
    capabilities: [PROBE_CAPABILITY],
    softwareVersion: "0.0.1",
    machineName: "simulated",
    os: "simulated",
    instanceId: randomUUID(),
  },
  onNotice() {},
  onVersion() {},
});

const over = new AbortController();
process.stdin.on("end", () => process.exit(0)).resume();
const connected = new Set<number>();
let begun = 0;
/** The first time they come one after the other; what is measured is how they come back. */
function begin(): void {
  const index = begun++;
  if (index >= members.length) return;
  const { certificate, key } = members[index]!;
  const supervisor = new Supervisor({
    context: context(),
    log: silentLog,
    stepMs: STEP_MS,
    target: () => ({ address: { host: "127.0.0.1", port: Number(port) }, tunnelName, ca, certificate, key }),
    onReady() {
      if (connected.has(index)) return;
      connected.add(index);
      begin();
      if (connected.size === members.length) process.stdout.write(`${JSON.stringify({ ready: true })}\n`);
    },
  });
  void supervisor.run(over.signal);
}
for (let i = 0; i < 16; i++) begin();
