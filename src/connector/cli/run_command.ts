import type { Command } from "commander";
import { addConfigurationOptions, loadConfiguration } from "../../platform/configuration.ts";
import { CONNECTOR_CONFIGURATION } from "../config.ts";
import type { CliContext } from "./context.ts";

const EXAMPLES = `
Examples:
  $ sallyport-connector run
  $ sallyport-connector run --state-dir /var/lib/wiki-connector --allow "10.0.0.0/8:443,wiki.corp.example:*"

SIGTERM or SIGINT lets exchanges in flight end; a second one stops at once.`;

/** Adds `run`. */
export function addRunCommand(program: Command, { env, signal }: CliContext): void {
  const command = program.command("run")
    .summary("dial the broker and serve, until stopped")
    .description(
      "Dials the broker with this host's identity and serves its group's applications until stopped.",
    );
  addConfigurationOptions(command, CONNECTOR_CONFIGURATION)
    .option("--json", "print one line of JSON when the first tunnel is ready", false)
    .addHelpText("after", EXAMPLES)
    .action(async ({ json, ...flags }: { json: boolean } & Record<string, unknown>) => {
      const configuration = loadConfiguration(CONNECTOR_CONFIGURATION, { flags, env });
      const { runConnector } = await import("../run.ts");
      await runConnector(configuration, { json, signal });
    });
}
