import type { Command } from "commander";
import { loadConfiguration } from "../../platform/configuration.ts";
import { CONNECTOR_CONFIGURATION } from "../config.ts";
import type { CliContext } from "./context.ts";
import { createOutput, formatTable } from "./output.ts";

const EXAMPLES = `
Examples:
  $ sallyport-connector status
  $ sallyport-connector status --watch
  $ sallyport-connector status --state-dir /var/lib/wiki-connector --json`;

/** Adds `status`. */
export function addStatusCommand(program: Command, { env, stdout, stderr, signal }: CliContext): void {
  program.command("status")
    .summary("show what the running connector of a state folder is doing")
    .description("Asks the connector that is running with this state folder, over its local socket.")
    .option("--state-dir <folder>", "folder of the identity (SALLYPORT_STATE_DIR)")
    .option("--config <file>", "configuration file, YAML (SALLYPORT_CONFIG)")
    .option("--watch", "show it again every second, until stopped", false)
    .option("--json", "print the status as JSON, one line each time", false)
    .addHelpText("after", EXAMPLES)
    .action(async (
      { json, watch, ...flags }: { json: boolean; watch: boolean; stateDir?: string; config?: string },
    ) => {
      const { stateDir } = loadConfiguration(CONNECTOR_CONFIGURATION, { flags, env });
      const { readStatus } = await import("../status/client.ts");
      const { statusSocketPath } = await import("../status/socket_path.ts");
      const read = () => readStatus(statusSocketPath(stateDir));
      if (watch) {
        const { watchStatus } = await import("./watch_status.ts");
        return await watchStatus({ read, json, stdout, signal });
      }
      const status = await read();
      createOutput(json, stdout, stderr).result(formatTable(status), status);
    });
}
