/**
 * A connector whose certificate is always due, and which ends or waits at a step of its renewal.
 * Arguments: state folder, step, `kill` or `hold`; held, it says so on standard output and goes on with any byte of input.
 */
import { once } from "node:events";
import process from "node:process";
import { CONNECTOR_CONFIGURATION } from "../../../src/connector/config.ts";
import { runConnector } from "../../../src/connector/run.ts";
import { loadConfiguration } from "../../../src/platform/configuration.ts";

const [stateDir, at, what] = process.argv.slice(2);
const DAYS_AHEAD = 80;
let over = false;

const stop = new AbortController();
process.on("SIGTERM", () => stop.abort());
const config = loadConfiguration(CONNECTOR_CONFIGURATION, {
  flags: { stateDir, logFormat: "json", drainMs: 1_000 },
  env: {},
});
await runConnector(config, {
  json: true,
  signal: stop.signal,
  renewal: {
    // Once it has renewed, it has time again.
    now: () => Date.now() + (over ? 0 : DAYS_AHEAD * 86_400_000),
    onStep: async (step) => {
      if (step === "tidied") over = true;
      if (step !== at || (what === "hold" && over)) return;
      if (what === "kill") process.kill(process.pid, "SIGKILL");
      process.stdout.write(`${JSON.stringify({ step })}\n`);
      await once(process.stdin, "data");
      process.stdin.pause();
      over = true;
    },
  },
});
