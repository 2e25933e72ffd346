import type { Command } from "commander";
import { addConfigurationOptions, loadConfiguration } from "../../platform/configuration.ts";
import { CONNECTOR_CONFIGURATION } from "../config.ts";
import type { CliContext } from "./context.ts";
import { readToken } from "./token_source.ts";

const EXAMPLES = `
Examples:
  $ sallyport-connector run
  $ sallyport-connector run --state-dir /var/lib/wiki-connector --allow "10.0.0.0/8:443,wiki.corp.example:*"

A host that is not registered is registered first where a token is given: tokenFile, SALLYPORT_TOKEN_FILE or
SALLYPORT_TOKEN; without one this ends with exit code 2. SIGTERM or SIGINT lets exchanges in flight end; a second one stops at once.`;

/** Adds `run`. */
export function addRunCommand(program: Command, { env, stdin, signal }: CliContext): void {
  const command = program.command("run")
    .summary("dial the broker and serve, until stopped")
    .description(
      "Dials the broker with this host's identity and serves its group's applications until stopped.",
    );
  addConfigurationOptions(command, CONNECTOR_CONFIGURATION)
    .option(
      "--take-over",
      "take over from a connector that runs with the same state, without a request lost",
      false,
    )
    .option("--json", "print one line of JSON when the first tunnel is ready", false)
    .addHelpText("after", EXAMPLES)
    .action(
      async (
        { json, takeOver, ...flags }: { json: boolean; takeOver: boolean } & Record<string, unknown>,
      ) => {
        const configuration = loadConfiguration(CONNECTOR_CONFIGURATION, { flags, env });
        if (configuration.fips) await (await import("../fips.ts")).proveFips();
        const { runConnector } = await import("../run.ts");
        const { tokenFile } = configuration;
        const variable = env.SALLYPORT_TOKEN;
        const token = () =>
          tokenFile === "" && variable === undefined
            ? Promise.resolve(null)
            : readToken({ file: tokenFile || undefined, variable, stdin, signal });
        await runConnector(configuration, { json, signal, token, takeOver, env });
      },
    );
}
