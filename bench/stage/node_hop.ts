import process from "node:process";
import { fileURLToPath } from "node:url";
import { Child } from "../../src/demo/child.ts";

/** The running Node hop. */
export interface NodeHop {
  pid: number;
  /** Without a slash at the end. */
  origin: string;
  stop(): Promise<void>;
}

/** Starts the Node hop in front of `backend`. */
export async function startNodeHop(backend: string): Promise<NodeHop> {
  const script = fileURLToPath(new URL("../node_hop.ts", import.meta.url));
  const watch = fileURLToPath(new URL("../../src/demo/parent_watch.ts", import.meta.url));
  const args = ["--import", watch, script, backend];
  const child = await Child.start({ name: "Node hop", command: process.execPath, args });
  const { port } = await child.ready(10_000) as { port: number };
  return {
    pid: child.pid,
    origin: `http://127.0.0.1:${port}`,
    async stop() {
      await child.stop();
    },
  };
}
