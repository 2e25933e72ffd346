import { get } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import {
  detectedWithin,
  type Fault,
  isBack,
  mustHold,
  noFailedGets,
  noneLaterThan,
  noneSlowerThan,
  until,
} from "./fault.ts";
import type { FaultStage } from "./fault_stage.ts";
import type { FaultyRelay, Trouble } from "./faulty_relay.ts";
import type { Summary } from "./open_loop.ts";

/** Bars, milliseconds: out of rotation; back after a connection that was cut, and after anything else. */
const NOTICED_MS = 5_000;
const CUT_MS = 5_000;
const BACK_MS = 20_000;
/** 2 Mbit/s. */
const NARROW: Trouble = { bytesPerSecond: 250_000 };
const NOTHING_SLOW = "0 failed GETs, none slower than 5 s";
const judge = (summary: Summary, stage: FaultStage): string[] => [
  ...noFailedGets(summary),
  ...noneSlowerThan(5_000, summary, stage),
];

/** The connection of one connector of two is ended in some way; it has to come back by itself. */
function ended(name: string, what: string, end: (relay: FaultyRelay) => void): Fault {
  return {
    name: `${name}, one connector of two`,
    what,
    bar: `${NOTHING_SLOW}; back by itself in less than 5 s`,
    stage: { connectors: 2 },
    async inject(stage, extent) {
      for (let i = 0; i < (extent === "full" ? 10 : 1); i++) {
        const { relay } = stage.connectors[i % 2]!;
        const { touched, accepted } = relay;
        stage.sightings.mark();
        end(relay);
        await until(stage, "something was done to it", () => relay.touched > touched);
        await until(stage, "the connector dials again", () => relay.accepted > accepted);
        await until(stage, "the tunnel is there", () => stage.sightings.recoverMs !== null);
        stage.recoveries.push(stage.sightings.recoverMs!);
      }
    },
    judge: (summary, _shots, stage) => [...judge(summary, stage), ...noneLaterThan(CUT_MS, stage)],
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
      ...judge(summary, stage),
      ...(stage.sightings.detectMs === null ? [] : ["a tunnel was lost or taken out"]),
    ],
  };
}

/** One direction carries nothing for a while. */
function oneWay(way: "up" | "down", what: string): Fault {
  return {
    name: `black hole ${way === "up" ? "towards the broker" : "towards the connector"}, one connector of two`,
    what,
    bar: `${NOTHING_SLOW}; out of rotation in less than 5 s, back by itself in less than 20 s`,
    stage: { connectors: 2 },
    async inject(stage, extent) {
      const { relay } = stage.connectors[0]!;
      relay[way].hole = true;
      await until(stage, "the broker has noticed", () => stage.sightings.detectMs !== null);
      await delay(extent === "full" ? 20_000 : 1_000);
      mustHold("bytes have vanished", relay.touched > 0);
      relay.heal();
      const healed = performance.now();
      await until(stage, "the connector is back", () => backAndWell(stage), 3);
      stage.recoveries.push(performance.now() - healed);
    },
    judge: (summary, _shots, stage) => [
      ...judge(summary, stage),
      ...detectedWithin(NOTICED_MS, stage),
      ...noneLaterThan(BACK_MS, stage),
    ],
  };
}

/** A download fills the narrow link of the only connector for as long as it lasts: that is no reason to give it up. */
function narrowBulk(): Fault {
  let bytes = 0;
  return {
    name: "2 Mbit/s each way with a bulk download, the only connector",
    what: "for 3 minutes",
    bar: "0 failed GETs; no tunnel is lost or taken out",
    stage: { connectors: 1 },
    mostRate: 50,
    async inject(stage, extent) {
      const { relay } = stage.connectors[0]!;
      Object.assign(relay.up, NARROW);
      Object.assign(relay.down, NARROW);
      bytes = 0;
      const forMs = extent === "full" ? 180_000 : 6_000;
      const download = get(new URL("/bulk", stage.url), (response) => {
        response.on("error", () => {});
        response.on("data", (piece: Buffer) => bytes += piece.length);
      });
      download.on("error", () => {});
      await delay(forMs);
      download.destroy();
      mustHold("the link was full", bytes > NARROW.bytesPerSecond! * forMs / 1_000 / 3);
      relay.heal();
    },
    judge: (summary, _shots, stage) => [
      ...noFailedGets(summary),
      ...(stage.sightings.detectMs === null ? [] : ["the tunnel was lost or taken out"]),
    ],
    note: () => `${(bytes / 1e6).toFixed(1)} MB came`,
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
  bad("2 Mbit/s each way", "for 20 s", NARROW),
  narrowBulk(),
  bad("split into single bytes", "the first 48 bytes of each piece are sent one by one, for 20 s", {
    singles: 48,
  }),
];
