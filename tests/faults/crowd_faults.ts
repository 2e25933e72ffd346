import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Child } from "../../src/demo/child.ts";
import { sourceCommand } from "../../src/demo/runtime.ts";
import { waitForExchange } from "../../src/demo/wait_for_exchange.ts";
import { enrolCrowd } from "./crowd.ts";
import { type Fault, until } from "./fault.ts";
import type { FaultStage } from "./fault_stage.ts";
import { isAfterOutage, killBroker, noneFailedBesideOutage } from "./outage.ts";

const MEMBERS = { full: 1_000, short: 100 };
const BACK_MS = 15_000;

const crowdFile = (stage: FaultStage) => join(stage.folder, "crowd.json");

async function tunnelsConnected({ broker }: FaultStage): Promise<number> {
  const text = await (await fetch(new URL("/metrics", broker.adminUrl))).text();
  return Number(/^sallyport_tunnels_connected (\d+)/m.exec(text)?.[1]);
}

function crowd(extent: keyof typeof MEMBERS): Fault {
  const members = MEMBERS[extent];
  let backMs = 0;
  return {
    name: `broker killed and started again, ${members} connectors come back at once`,
    what:
      `${members} connectors in one process, each with its own certificate; SIGKILL to the broker, then started again`,
    bar:
      "all are back within 15 s of its listener; only requests of the time without a broker, or in flight then, fail",
    stage: {
      connectors: 0,
      async dataDir(stage) {
        const dataDir = join(stage.folder, "broker");
        await mkdir(dataDir, { mode: 0o700 });
        await enrolCrowd(dataDir, members, crowdFile(stage));
        return dataDir;
      },
    },
    async before(stage) {
      const { command, args } = sourceCommand("node", "broker/main.ts");
      const main = new URL("./crowd_main.ts", import.meta.url).pathname;
      const child = await Child.start({
        name: "crowd",
        command,
        args: [...args.slice(0, -1), main, crowdFile(stage), String(stage.broker.listeners.public.port)],
      });
      stage.defer(async () => void await child.stop(0));
      await child.ready(60_000);
      await waitForExchange(stage.url);
    },
    async inject(stage, _extent, load) {
      await killBroker(stage, load);
      const begun = performance.now();
      await until(stage, "all are back", async () => await tunnelsConnected(stage) === members, 3);
      backMs = performance.now() - begun;
      await delay(2_000);
    },
    judge(_summary, shots, stage) {
      const after = shots.filter(({ dueMs }) => isAfterOutage(dueMs, stage.downUntilMs));
      const slowest = Math.max(0, ...after.map(({ tookMs }) => tookMs));
      return [
        ...noneFailedBesideOutage(shots, stage),
        ...(backMs <= BACK_MS ? [] : [`all back after ${Math.round(backMs)} ms`]),
        ...(slowest <= 5_000 ? [] : [`a request took ${Math.round(slowest)} ms meanwhile`]),
      ];
    },
    note: () => `all back after ${Math.round(backMs)} ms`,
  };
}

/** Many connectors at once. */
export const CROWD_FAULTS: readonly Fault[] = [crowd("full"), crowd("short")];
