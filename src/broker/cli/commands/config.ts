import type { Command } from "commander";
import { addCommand } from "../command.ts";
import { addBrokerOptions, localConfiguration } from "../configuration.ts";
import { type CliContext, printAnswer } from "../context.ts";
import { table } from "../table.ts";

/** `config check`. Its flags are added when it is chosen: `prepareCheckCommand`. */
export function addConfigCommands(program: Command, context: CliContext): void {
  const config = program.command("config").description("the configuration of run");
  addCommand(config, {
    usage: "check",
    about: "check file, variables and flags as run would, and show what comes of them",
    example: "sallyport-broker config check --config /etc/sallyport/broker.yaml",
  })
    .option("--json", "print JSON")
    .action(async ({ json, ...flags }: { json?: boolean }) => {
      const values = await localConfiguration(flags, context);
      const rows = Object.entries(values).map(([key, value]) => [
        key,
        typeof value === "object" ? JSON.stringify(value) : value as string | number | boolean,
      ]);
      const text = `The configuration is valid.\n\n${table(["KEY", "VALUE"], rows, "")}`;
      printAnswer(context, { json: { valid: true, values }, text }, json ?? false);
    });
}

/** Adds a flag for each configuration key to `config check`. */
export const prepareCheckCommand = addBrokerOptions;
