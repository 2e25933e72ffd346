import { setTimeout as delay } from "node:timers/promises";
import { FaultStage, type FaultStageOptions } from "./fault_stage.ts";
import { OpenLoop, type Shot, summarise, type Summary } from "./open_loop.ts";

/** How much of a fault is shown: `full` for the table, `short` for the test suite. */
export type Extent = "full" | "short";

/** One fault and what it may cost. */
export interface Fault {
  name: string;
  stage: FaultStageOptions;
  /** One request in so many is a POST. */
  postEvery?: number;
  /** Brings the fault about, once or many times, while the load runs. Throws when it could not be brought about. */
  inject(stage: FaultStage, extent: Extent, load: OpenLoop): Promise<void>;
  /** What went beyond the bar, in words; empty when nothing did. */
  judge(summary: Summary, shots: readonly Shot[], stage: FaultStage): string[];
}

/** What a fault cost. */
export interface Verdict {
  fault: string;
  summary: Summary;
  beyond: string[];
}

const SETTLE_MS = 500;

async function until(
  what: string,
  condition: () => Promise<boolean> | boolean,
  withinMs = 20_000,
): Promise<void> {
  const end = performance.now() + withinMs;
  while (!await condition()) {
    if (performance.now() > end) throw new Error(`Cannot inject fault: waited ${withinMs} ms until ${what}`);
    await delay(20);
  }
}

/** True once the broker lists a ready tunnel of the connector, other than those in `known`. */
async function isBack(stage: FaultStage, index: number): Promise<boolean> {
  const tunnels = await stage.tunnelsOf(index);
  return tunnels.length > 0;
}

function noFailedGets({ failedGets, outcomes }: Summary): string[] {
  return failedGets === 0 ? [] : [`${failedGets} failed GETs: ${JSON.stringify(outcomes)}`];
}

function noneSlowerThan(ms: number, { longestMs }: Summary): string[] {
  return longestMs <= ms ? [] : [`slowest request ${Math.round(longestMs)} ms, bar ${ms} ms`];
}

const TWO: FaultStageOptions = { connectors: 2 };

/** All faults, in the order of the table. */
export const FAULTS: readonly Fault[] = [
  {
    name: "graceful restart of one connector of two",
    stage: TWO,
    postEvery: 10,
    async inject(stage, extent) {
      for (let i = 0; i < (extent === "full" ? 20 : 2); i++) {
        const index = i % 2;
        await stage.connectors[index]!.process.stop();
        await stage.startAgain(index);
        await until("the connector is back", () => isBack(stage, index));
      }
    },
    judge: (summary) =>
      summary.failedGets + summary.failedPosts === 0 ? [] : [JSON.stringify(summary.outcomes)],
  },
  {
    name: "graceful restart of the only connector, with take-over",
    stage: { connectors: 1 },
    postEvery: 10,
    async inject(stage, extent) {
      for (let i = 0; i < (extent === "full" ? 20 : 2); i++) await stage.takeOver(0);
    },
    judge: (summary) =>
      summary.failedGets + summary.failedPosts === 0 ? [] : [JSON.stringify(summary.outcomes)],
  },
  {
    name: "kill -9 of one connector of two",
    stage: TWO,
    postEvery: 10,
    async inject(stage, extent) {
      for (let i = 0; i < (extent === "full" ? 20 : 2); i++) {
        const index = i % 2;
        const { child } = stage.connectors[index]!.process;
        child.signal("SIGKILL");
        await child.exited;
        await stage.startAgain(index);
        await until("the connector is back", () => isBack(stage, index));
      }
    },
    judge: noFailedGets,
  },
  {
    name: "kill -9 of the only connector, started again at once",
    stage: { connectors: 1 },
    async inject(stage, extent) {
      for (let i = 0; i < (extent === "full" ? 5 : 1); i++) {
        const { child } = stage.connectors[0]!.process;
        child.signal("SIGKILL");
        await child.exited;
        await stage.startAgain(0);
        await until("the connector is back", () => isBack(stage, 0));
      }
    },
    judge: noFailedGets,
  },
  {
    name: "one tunnel of two black-holed",
    stage: TWO,
    async inject(stage, extent) {
      const { relay } = stage.connectors[0]!;
      const before = relay.accepted;
      relay.silence();
      await until("the connector dials again", () => relay.accepted > before, 40_000);
      await until("the connector is back", () => isBack(stage, 0));
      await delay(extent === "full" ? 5_000 : SETTLE_MS);
    },
    judge: (summary) => [...noFailedGets(summary), ...noneSlowerThan(5_000, summary)],
  },
  {
    name: "event loop of one connector of two blocked",
    stage: TWO,
    async inject(stage, extent) {
      const { child } = stage.connectors[0]!.process;
      child.signal("SIGSTOP");
      await delay(extent === "full" ? 30_000 : 6_000);
      child.signal("SIGCONT");
      await until("the connector is back", () => isBack(stage, 0), 30_000);
    },
    judge: (summary) => [...noFailedGets(summary), ...noneSlowerThan(5_000, summary)],
  },
  {
    name: "backend refuses on one connector's side only",
    stage: {
      connectors: 2,
      backendHost: "backend.test",
      connectorEnv: (index) => backendAt(index === 0 ? "127.0.0.2" : "127.0.0.1"),
    },
    postEvery: 10,
    inject: (_stage, extent) => delay(extent === "full" ? 10_000 : 3_000),
    judge: (summary) =>
      summary.failedGets + summary.failedPosts === 0 ? [] : [JSON.stringify(summary.outcomes)],
  },
  {
    name: "graceful restart of the broker, with an inherited socket",
    stage: { connectors: 2, ownSockets: true },
    postEvery: 10,
    async inject(stage, extent) {
      for (let i = 0; i < (extent === "full" ? 5 : 1); i++) {
        await stage.replaceBroker();
        await until("the connectors are back", async () => await isBack(stage, 0) && await isBack(stage, 1));
      }
    },
    judge: (summary) =>
      summary.failedGets + summary.failedPosts === 0 ? [] : [JSON.stringify(summary.outcomes)],
  },
  {
    name: "broker killed and started again",
    stage: TWO,
    async inject(stage, _extent, load) {
      const { child } = stage.broker;
      stage.downFromMs = load.nowMs;
      child.signal("SIGKILL");
      await child.exited;
      await stage.startBrokerAgain();
      stage.downUntilMs = load.nowMs;
      await until("a connector is back", async () => await isBack(stage, 0) || await isBack(stage, 1));
      await delay(2_000);
    },
    judge(_summary, shots, { downFromMs, downUntilMs }) {
      // Whoever came before may have been in flight; whoever comes afterwards waits for a connector, not in vain.
      const late = shots.filter(({ dueMs, outcome }) =>
        (dueMs < downFromMs - 1_000 || dueMs > downUntilMs + 100) && outcome !== 200
      );
      return late.length === 0
        ? []
        : [`${late.length} failed outside of the time without a broker: ${late[0]!.outcome}`];
    },
  },
];

function backendAt(address: string): Record<string, string> {
  const preload = new URL("./dns_of_one.cjs", import.meta.url).pathname;
  return { FAULT_BACKEND_ADDRESS: address, NODE_OPTIONS: `--require ${preload}` };
}

/** Runs one fault under a steady load of `rate` requests a second. */
export async function runFault(fault: Fault, rate: number, extent: Extent): Promise<Verdict> {
  await using stage = await FaultStage.start(fault.stage);
  const load = new OpenLoop({ url: stage.url, rate, postEvery: fault.postEvery });
  try {
    await delay(SETTLE_MS);
    await fault.inject(stage, extent, load);
    await delay(SETTLE_MS);
  } finally {
    await load.stop();
  }
  const summary = summarise(load.shots);
  const beyond = fault.judge(summary, load.shots, stage);
  const posts = load.shots.filter(({ method }) => method === "POST").length;
  if ((stage.seen.POST ?? 0) > posts) {
    beyond.push(`the backend has seen ${stage.seen.POST} POSTs of ${posts}: one was sent twice`);
  }
  return { fault: fault.name, summary, beyond };
}
