/**
 * Many connectors in one process, with the connector's own code: `node crowd_main.ts FILE PORT`. Prints a line once all
 * of them have been connected, and ends with its standard input.
 */
import { readFile } from "node:fs/promises";
import { Supervisor } from "../../src/connector/supervisor.ts";
import { silentLog } from "../../src/platform/log.ts";
import { PROBE_CAPABILITY } from "../../src/protocol/probe.ts";
import { idleConnector } from "../support/idle_connector.ts";
import type { Crowd } from "./crowd.ts";

const [file, port] = process.argv.slice(2);
const { ca, tunnelName, members } = JSON.parse(await readFile(file!, "utf8")) as Crowd;
const STEP_MS = 10_000;

const over = new AbortController();
process.stdin.on("end", () => process.exit(0)).resume();
const connected = new Set<number>();
let begun = 0;
/** The first time they come one after the other; what is measured is how they come back. */
function begin(): void {
  const index = begun++;
  if (index >= members.length) return;
  const { certificate, key } = members[index]!;
  const supervisor = new Supervisor({
    context: idleConnector([PROBE_CAPABILITY]),
    log: silentLog,
    stepMs: STEP_MS,
    target: () => ({ address: { host: "127.0.0.1", port: Number(port) }, tunnelName, ca, certificate, key }),
    onReady() {
      if (connected.has(index)) return;
      connected.add(index);
      begin();
      if (connected.size === members.length) process.stdout.write(`${JSON.stringify({ ready: true })}\n`);
    },
  });
  void supervisor.run(over.signal);
}
for (let i = 0; i < 16; i++) begin();
