import type { Called, Callee } from "../grpc/client.ts";
import { MESSAGE_BYTES } from "../grpc/service.ts";
import { median } from "../measure/statistics.ts";
import { atLeast, type Line, type Row } from "../row.ts";
import { GRPC_HOST, type GrpcStage, startGrpcStage } from "../stage/grpc.ts";
import type { Contender } from "../stage/stage.ts";
import { inTurns, productLine } from "./turns.ts";

const AT_ONCE = 64;
/** A cancel is expected at the backend within this time, in milliseconds. */
const CANCEL_MS = 100;

/** What a gRPC call costs, against a call without anything between, and how soon a cancel arrives. */
export const grpc: Row = {
  name: "grpc",
  summary: `unary gRPC calls of ${MESSAGE_BYTES} bytes, ${AT_ONCE} at once on one channel`,
  async run(context) {
    const { quick, progress } = context;
    const stage = await startGrpcStage(context.stage.path("grpc"));
    try {
      const contender = (name: string, way: keyof GrpcStage["ways"]): Contender => ({
        name,
        origin: way,
        processes: stage.ways[way].processes,
      });
      const all = [
        contender("direct", "direct"),
        contender("Node hop", "hop"),
        contender("Sallyport", "product"),
      ];
      const turn = async ({ origin }: Contender, warmUp: boolean) => {
        const forMs = quick ? (warmUp ? 300 : 700) : warmUp ? 1_000 : 5_000;
        const options = { ...callee(stage, origin as keyof GrpcStage["ways"]), atOnce: AT_ONCE, forMs };
        const { calls, ms, p50Ms, p99Ms } = await stage.callers.call<Called>("calls", options);
        return { work: calls, figures: { "calls/s": calls / ms * 1_000, "p50 ms": p50Ms, "p99 ms": p99Ms } };
      };
      const lines = await inTurns(context, grpc.name, {
        contenders: all,
        kind: "calls",
        load: stage.callers.pid,
        backend: stage.server.pid,
        turn,
      });
      progress("grpc: cancelling calls");
      return {
        title: grpc.summary,
        cpuUnit: "us/call",
        lines,
        bars: [atLeast("calls/s", rate(productLine(lines)) / rate(lines[0]!), 0.35, "x direct")],
        notes: [await cancelNote(stage, quick ? 20 : 200)],
      };
    } finally {
      await stage.stop();
    }
  },
};

function callee({ ways, ca }: GrpcStage, way: keyof GrpcStage["ways"]): Callee {
  const { port } = ways[way];
  return way === "direct" ? { port } : { port, host: GRPC_HOST, ca };
}

function rate(line: Line): number {
  return line.figures["calls/s"]!;
}

async function cancelNote(stage: GrpcStage, count: number): Promise<string> {
  const cancelled = stage.callers.call<number[]>("cancels", { ...callee(stage, "product"), count });
  const [sent, arrived] = await Promise.all([cancelled, stage.server.call<number[]>("cancelled", { count })]);
  const times = arrived.map((at, i) => at - sent[i]!).sort((a, b) => a - b);
  const most = times.at(-1)!.toFixed(1);
  return `a cancel reaches the backend in ${median(times).toFixed(1)} ms, at most ${most} ms of ${count} ` +
    `(expected: under ${CANCEL_MS} ms)`;
}
