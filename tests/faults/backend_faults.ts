import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { type Fault, isBack, mustHold, noFailures, noneSlowerThan, until } from "./fault.ts";

const CONNECT_MS = 1_000;
const HOLE = "127.0.0.3";

/** A port of the loopback that answers no SYN: its listener accepts nothing, and its queue is full. */
async function blackHole(port: number): Promise<AsyncDisposable> {
  const worker = new Worker(
    `const { parentPort } = require("node:worker_threads");
     const server = require("node:net").createServer();
     server.listen({ port: ${port}, host: "${HOLE}", backlog: 1 }, () => {
       parentPort.postMessage("listening");
       setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
     });`,
    { eval: true },
  );
  await once(worker, "message");
  const fillers = Array.from({ length: 8 }, () => connect(port, HOLE).on("error", () => {}));
  await Promise.race(fillers.map((socket) => once(socket, "connect")));
  return {
    async [Symbol.asyncDispose]() {
      for (const socket of fillers) socket.destroy();
      await worker.terminate();
    },
  };
}

/** What happens between a connector and a backend. */
export const BACKEND_FAULTS: readonly Fault[] = [
  {
    name: "backend black-holed on one connector's side only",
    what: "a connector starts for which the backend's address answers no SYN; connect time-out 1 s",
    bar: "0 failures, none slower than the connect time-out + 1 s, chosen no more after that",
    stage: {
      connectors: 2,
      backendHost: "backend.test",
      app: { timeouts: { connectMs: CONNECT_MS } },
      connectorEnv: (index) => ({
        FAULT_BACKEND_ADDRESS: index === 0 ? HOLE : "127.0.0.1",
        NODE_OPTIONS: `--require ${new URL("./dns_of_one.cjs", import.meta.url).pathname}`,
      }),
    },
    async inject(stage, extent, load) {
      await using _hole = await blackHole(Number(new URL(stage.backendUrl).port));
      // Until now it was refused there; a new process begins without that knowledge.
      await stage.connectors[0]!.process.stop();
      stage.downFromMs = load.nowMs;
      await stage.startAgain(0);
      await until(stage, "the connector is back", () => isBack(stage, 0));
      stage.downUntilMs = load.nowMs;
      await delay(extent === "full" ? 20_000 : 6_000);
    },
    judge(summary, shots, stage) {
      const { downFromMs, downUntilMs } = stage;
      const slow = shots.filter(({ dueMs, tookMs }) => dueMs > downFromMs && tookMs > CONNECT_MS * 0.9);
      mustHold("requests that met the black hole", slow.length > 0);
      const late = slow.filter(({ dueMs }) => dueMs > downUntilMs + CONNECT_MS + 1_000);
      return [
        ...noFailures(summary),
        ...noneSlowerThan(CONNECT_MS + 1_000, summary, stage),
        ...(late.length === 0 ? [] : [`${late.length} requests met it after it was known`]),
      ];
    },
  },
];
