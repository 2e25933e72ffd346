import { setTimeout as delay } from "node:timers/promises";
import { type Fault, isBack, mustHold, noFailedGets, noneSlowerThan, until } from "./fault.ts";
import type { FaultStage } from "./fault_stage.ts";
import type { FaultyRelay, Trouble } from "./faulty_relay.ts";
import type { Summary } from "./open_loop.ts";

const NOTHING_SLOW = "0 failed GETs, none slower than 5 s";
const judge = (summary: Summary): string[] => [...noFailedGets(summary), ...noneSlowerThan(5_000, summary)];

/** The connection of one connector of two is ended in some way; it has to come back by itself. */
function ended(name: string, what: string, end: (relay: FaultyRelay) => void): Fault {
  return {
    name: `${name}, one connector of two`,
    what,
    bar: `${NOTHING_SLOW}; back by itself`,
    stage: { connectors: 2 },
    async inject(stage, extent) {
      for (let i = 0; i < (extent === "full" ? 10 : 1); i++) {
        const { relay } = stage.connectors[i % 2]!;
        const { touched, accepted } = relay;
        stage.sightings.mark();
        end(relay);
        await until("something was done to it", () => relay.touched > touched);
        await until("the connector dials again", () => relay.accepted > accepted);
        await until("the tunnel is there", () => stage.sightings.recoverMs !== null);
      }
    },
    judge,
  };
}

/** One connector of two has a link that is bad for a while; its tunnel has to live with it. */
function bad(name: string, what: string, trouble: Trouble): Fault {
  return {
    name: `${name}, one connector of two`,
    what,
    bar: `${NOTHING_SLOW}; no tunnel is lost or taken out`,
    stage: { connectors: 2 },
    async inject(stage, extent) {
      const { relay } = stage.connectors[0]!;
      Object.assign(relay.up, trouble);
      Object.assign(relay.down, trouble);
      await delay(extent === "full" ? 20_000 : 3_000);
      mustHold("the link was bad", relay.touched > 1_000);
      relay.heal();
    },
    judge: (summary, _shots, stage) => [
      ...judge(summary),
      ...(stage.sightings.detectMs === null ? [] : ["a tunnel was lost or taken out"]),
    ],
  };
}

/** One direction carries nothing for a while. */
function oneWay(way: "up" | "down", what: string): Fault {
  return {
    name: `black hole ${way === "up" ? "towards the broker" : "towards the connector"}, one connector of two`,
    what,
    bar: `${NOTHING_SLOW}; back by itself`,
    stage: { connectors: 2 },
    async inject(stage, extent) {
      const { relay } = stage.connectors[0]!;
      relay[way].hole = true;
      await until("the broker has noticed", () => stage.sightings.detectMs !== null);
      await delay(extent === "full" ? 20_000 : 1_000);
      mustHold("bytes have vanished", relay.touched > 0);
      relay.heal();
      await until("the connector is back", () => backAndWell(stage), 60_000);
    },
    judge,
  };
}

async function backAndWell(stage: FaultStage): Promise<boolean> {
  return stage.sightings.recoverMs !== null && await isBack(stage, 0);
}

/** What networks do to the connection between a connector and its broker. */
export const LINK_FAULTS: readonly Fault[] = [
  ended("connection reset", "RST to both ends, 10 times", (relay) => relay.reset()),
  ended(
    "half-close by the broker's side",
    "FIN to the connector only, 10 times",
    (relay) => relay.halfClose("down"),
  ),
  ended(
    "half-close by the connector's side",
    "FIN to the broker only, 10 times",
    (relay) => relay.halfClose("up"),
  ),
  ended(
    "stream cut in the middle",
    "half of a piece, then FIN, 10 times",
    (relay) => relay.down.truncate = true,
  ),
  ended(
    "corrupt byte towards the connector",
    "one bit of one piece is turned over, 10 times",
    (relay) => relay.down.corrupt = 1,
  ),
  ended(
    "corrupt byte towards the broker",
    "one bit of one piece is turned over, 10 times",
    (relay) => relay.up.corrupt = 1,
  ),
  oneWay("up", "what the connector sends vanishes for 20 s; what the broker sends arrives"),
  oneWay("down", "what the broker sends vanishes for 20 s; what the connector sends arrives"),
  bad("delay of 150 ms each way", "for 20 s", { delayMs: 150 }),
  bad("2 Mbit/s each way", "for 20 s", { bytesPerSecond: 250_000 }),
  bad("split into single bytes", "the first 48 bytes of each piece are sent one by one, for 20 s", {
    singles: 48,
  }),
];
