import { cpuOf } from "../stage/cpus.ts";
import { wrk } from "../measure/wrk.ts";
import { atLeast, atMost, type Bar, type Line, type Row } from "../row.ts";
import { contenders, cpuRatio, inTurns, productLine } from "./turns.ts";

/** A row of short requests under full load. */
interface RequestsRow {
  name: string;
  summary: string;
  path: string;
  clients: number;
  bars(lines: readonly Line[]): Bar[];
}

function requestsRow({ name, summary, path, clients, bars }: RequestsRow): Row {
  return {
    name,
    summary,
    async run(context) {
      const seconds = context.quick ? 1 : 5;
      // What Node has compiled by then goes on becoming faster for some hundred thousand requests.
      const warmUpSeconds = context.quick ? 1 : 8;
      const lines = await inTurns(context, name, {
        contenders: await contenders(context, true),
        kind: "requests",
        load: null,
        backend: (await context.stage.backend()).pid,
        async turn({ origin }, warmUp) {
          const url = `${origin}${path}`;
          const result = await wrk({
            url,
            clients,
            seconds: warmUp ? warmUpSeconds : seconds,
            cpu: cpuOf(0),
          });
          const { requests: work, requestsPerSecond, p50Ms, p99Ms } = result;
          return { work, figures: { "requests/s": requestsPerSecond, "p50 ms": p50Ms, "p99 ms": p99Ms } };
        },
      });
      return { title: summary, cpuUnit: "us/request", lines, bars: bars(lines), notes: [] };
    },
  };
}

/** 60-byte responses: what an exchange costs. */
export const small: Row = requestsRow({
  name: "small",
  summary: "60-byte responses, 64 keep-alive clients",
  path: "/small",
  clients: 64,
  bars: (lines) => [
    atLeast("requests/s", productLine(lines).ratio!, 0.75, "x Node hop"),
    atMost("CPU of the broker", cpuRatio(lines, "broker"), 0.95, "x Node hop"),
    atMost("CPU of the connector", cpuRatio(lines, "connector"), 0.95, "x Node hop"),
  ],
});

/** 10 KB responses: a typical page or script. */
export const middle: Row = requestsRow({
  name: "middle",
  summary: "10 KB responses, 32 keep-alive clients",
  path: "/middle",
  clients: 32,
  bars: (lines) => [atLeast("requests/s", productLine(lines).ratio!, 0.5, "x Node hop")],
});
