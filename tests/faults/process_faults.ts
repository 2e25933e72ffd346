import { setTimeout as delay } from "node:timers/promises";
import { closing, openWebsocket } from "../support/websocket_peers.ts";
import {
  detectedWithin,
  type Fault,
  isBack,
  kill,
  mustHold,
  noFailedGets,
  noFailures,
  noneLaterThan,
  noneSlowerThan,
  until,
} from "./fault.ts";
import type { FaultStage, FaultStageOptions } from "./fault_stage.ts";
import type { Shot, Summary } from "./open_loop.ts";
import { killBroker, noneFailedBesideOutage } from "./outage.ts";

/** Close code of a WebSocket whose server restarts. */
const RESTART_CODE = 1012;
const SETTLE_MS = 500;
const CAUGHT_UP_MS = 2_000;
const TWO: FaultStageOptions = { connectors: 2 };

/** Programs that are restarted, killed or stopped, and backends that one connector cannot reach. */
export const PROCESS_FAULTS: readonly Fault[] = [
  {
    name: "graceful restart of one connector of two",
    what: "SIGTERM to one connector, then the other, 20 times; each started again",
    bar: "0 failures",
    stage: TWO,
    postEvery: 10,
    async inject(stage, extent) {
      for (let i = 0; i < (extent === "full" ? 20 : 2); i++) {
        const index = i % 2;
        await stage.connectors[index]!.process.stop();
        await stage.startAgain(index);
        await until(stage, "the connector is back", () => isBack(stage, index));
      }
    },
    judge: noFailures,
  },
  {
    name: "graceful restart of the only connector, with take-over",
    what: "another process with the same state takes over, 20 times",
    bar: "0 failures",
    stage: { connectors: 1 },
    postEvery: 10,
    async inject(stage, extent) {
      for (let i = 0; i < (extent === "full" ? 20 : 2); i++) await stage.takeOver(0);
    },
    judge: noFailures,
  },
  {
    name: "kill -9 of one connector of two",
    what: "SIGKILL to one connector, then the other, 20 times; each started again",
    bar: "0 failed GETs; POSTs in flight on it may fail",
    stage: TWO,
    postEvery: 10,
    async inject(stage, extent) {
      for (let i = 0; i < (extent === "full" ? 20 : 2); i++) {
        const index = i % 2;
        await kill(stage, stage.connectors[index]!.process.child);
        await stage.startAgain(index);
        await until(stage, "the connector is back", () => isBack(stage, index));
      }
    },
    judge: noFailedGets,
  },
  {
    name: "kill -9 of the only connector, started again at once",
    what: "SIGKILL to the only connector, 5 times, 2 s apart",
    bar: "0 failed GETs: they wait for it",
    stage: { connectors: 1 },
    async inject(stage, extent) {
      for (let i = 0; i < (extent === "full" ? 5 : 1); i++) {
        await kill(stage, stage.connectors[0]!.process.child);
        await stage.startAgain(0);
        await until(stage, "the connector is back", () => isBack(stage, 0));
        // One request may be sent four times: what waited is served before the next blow.
        await delay(CAUGHT_UP_MS);
      }
    },
    judge: noFailedGets,
  },
  {
    name: "one tunnel of two black-holed",
    what: "its connection stays open and carries nothing more, either way",
    bar:
      "0 failed GETs, none slower than 5 s; out of rotation in less than 5 s, another tunnel in less than 20 s",
    stage: TWO,
    async inject(stage, extent) {
      const { relay } = stage.connectors[0]!;
      const before = relay.accepted;
      relay.silence();
      const since = performance.now();
      await until(stage, "the connector dials again", () => relay.accepted > before, 2);
      await until(stage, "the connector is back", () => stage.sightings.recoverMs !== null);
      stage.recoveries.push(performance.now() - since);
      await delay(extent === "full" ? 5_000 : SETTLE_MS);
    },
    judge: wedged,
  },
  {
    name: "event loop of one connector of two blocked",
    what: "SIGSTOP for 30 s, then SIGCONT",
    bar: "0 failed GETs, none slower than 5 s; out of rotation in less than 5 s, back in less than 20 s",
    stage: TWO,
    async inject(stage, extent) {
      const { child } = stage.connectors[0]!.process;
      child.signal("SIGSTOP");
      await delay(extent === "full" ? 30_000 : 6_000);
      mustHold("the broker has noticed", stage.sightings.detectMs !== null);
      child.signal("SIGCONT");
      const since = performance.now();
      await until(stage, "the connector is back", async () => {
        return stage.sightings.recoverMs !== null && await isBack(stage, 0);
      }, 2);
      stage.recoveries.push(performance.now() - since);
    },
    judge: wedged,
  },
  {
    name: "backend refuses on one connector's side only",
    what: "the backend's name leads one of two connectors to an address that refuses",
    bar: "0 failures from the first request on",
    stage: {
      connectors: 2,
      backendHost: "backend.test",
      connectorEnv: (index) => backendAt(index === 0 ? "127.0.0.2" : "127.0.0.1"),
    },
    postEvery: 10,
    async inject(stage, extent) {
      await delay(extent === "full" ? 10_000 : 3_000);
      const { id } = stage.connectors[0]!;
      const { appsOutOfReach } = await stage.broker.admin.request("GET", `connectors/${id}`) as {
        appsOutOfReach: string[];
      };
      mustHold("it was refused on one side", appsOutOfReach.includes(stage.appId));
    },
    judge: noFailures,
  },
  {
    name: "graceful restart of the broker, with an inherited socket",
    what: "a new broker starts on the same sockets, then SIGTERM to the old one, 5 times",
    bar: "0 failures; WebSockets get a close frame",
    stage: { connectors: 2, ownSockets: true },
    postEvery: 10,
    async inject(stage, extent) {
      for (let i = 0; i < (extent === "full" ? 5 : 1); i++) {
        const told = closing(await openWebsocket(stage.url.replace("http:", "ws:")));
        await stage.replaceBroker();
        mustHold("a WebSocket got its close frame", (await told).code === RESTART_CODE);
        await until(
          stage,
          "the connectors are back",
          async () => await isBack(stage, 0) && await isBack(stage, 1),
        );
      }
    },
    judge: noFailures,
  },
  {
    name: "broker killed and started again",
    what: "SIGKILL to the broker; started again on the same ports",
    bar: "only requests of the time without a broker, or in flight then, fail",
    stage: TWO,
    async inject(stage, _extent, load) {
      await killBroker(stage, load);
      await until(stage, "a connector is back", async () => await isBack(stage, 0) || await isBack(stage, 1));
      await delay(2_000);
    },
    judge: (_summary, shots, stage) => noneFailedBesideOutage(shots, stage),
  },
];

/** What a tunnel on which nothing gets through may cost. */
function wedged(summary: Summary, _shots: readonly Shot[], stage: FaultStage): string[] {
  return [
    ...noFailedGets(summary),
    ...noneSlowerThan(5_000, summary, stage),
    ...detectedWithin(5_000, stage),
    ...noneLaterThan(20_000, stage),
  ];
}

function backendAt(address: string): Record<string, string> {
  const preload = new URL("./dns_of_one.cjs", import.meta.url).pathname;
  return { FAULT_BACKEND_ADDRESS: address, NODE_OPTIONS: `--require ${preload}` };
}
