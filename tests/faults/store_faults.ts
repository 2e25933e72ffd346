import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { type Fault, isBack, kill, mustHold, noFailures, until } from "./fault.ts";
import type { FaultStage } from "./fault_stage.ts";
import { fill, lacksMount, smallDisk } from "./small_disk.ts";

const BAR = "0 failures; a killed connector comes back; admin writes get 503; nothing acknowledged is lost";

/** Shows what has to hold while the store takes no changes, for some time. */
async function without(stage: FaultStage, forMs: number, restore: () => Promise<void>): Promise<void> {
  const { admin } = stage.broker;
  const before = await admin.request("GET", "groups") as { items: { name: string }[] };
  const end = performance.now() + forMs;
  mustHold("a write gets 503", await writeStatus(stage) === 503);
  await kill(stage, stage.connectors[0]!.process.child);
  await stage.startAgain(0);
  await until(stage, "the connector is back", () => isBack(stage, 0));
  const ready = await (await fetch(new URL("/readyz", stage.broker.adminUrl))).json() as {
    warnings: string[];
  };
  mustHold("/readyz says why", ready.warnings.length === 1);
  const metrics = await (await fetch(new URL("/metrics", stage.broker.adminUrl))).text();
  mustHold("failures are counted", Number(/^sallyport_store_failures_total (\d+)/m.exec(metrics)?.[1]) > 0);
  await delay(Math.max(0, end - performance.now()));
  mustHold("a write still gets 503", await writeStatus(stage) === 503);
  await restore();
  const restored = performance.now();
  await until(stage, "writes are taken again", async () => await writeStatus(stage) === 201);
  writesAgainMs = performance.now() - restored;
  const after = await admin.request("GET", "groups") as { items: { name: string }[] };
  for (const { name } of before.items) {
    mustHold(
      "it is there",
      after.items.some((group) => group.name === name),
    );
  }
}

let groups = 0;
let writesAgainMs = 0;
const note = (): string => `writes are taken again ${writesAgainMs.toFixed(0)} ms after it was well`;

async function writeStatus({ broker }: FaultStage): Promise<number> {
  const response = await fetch(new URL("/api/v1/groups", broker.adminUrl), {
    method: "POST",
    headers: { authorization: `Bearer ${broker.adminToken}`, "content-type": "application/json" },
    body: JSON.stringify({ name: `Group ${++groups}` }),
  });
  await response.text();
  return response.status;
}

/** The store does not take changes for a while. */
export const STORE_FAULTS: readonly Fault[] = [
  {
    name: "store locked by another process",
    what:
      "an exclusive transaction of another process on its file for 60 s; one of two connectors is killed meanwhile",
    bar: BAR,
    stage: { connectors: 2 },
    async inject(stage, extent) {
      mustHold("writes are taken", await writeStatus(stage) === 201);
      const other = new DatabaseSync(join(stage.dataDir, "store.db"));
      try {
        other.exec("PRAGMA busy_timeout = 5000; BEGIN EXCLUSIVE");
        await without(stage, extent === "full" ? 60_000 : 3_000, async () => other.exec("ROLLBACK"));
      } finally {
        other.close();
      }
    },
    judge: noFailures,
    note,
  },
  {
    name: "disk of the store full",
    what: "its file system is filled for 60 s; one of two connectors is killed meanwhile",
    bar: BAR,
    lacks: lacksMount,
    stage: { connectors: 2, dataDir: (stage) => smallDisk(stage, "small", 16) },
    async inject(stage, extent) {
      mustHold("writes are taken", await writeStatus(stage) === 201);
      const free = await fill(stage.dataDir);
      // The write-ahead log may have room of its own for a while.
      await until(stage, "a write fails", async () => await writeStatus(stage) === 503);
      await without(stage, extent === "full" ? 60_000 : 3_000, free);
    },
    judge: noFailures,
    note,
  },
];
