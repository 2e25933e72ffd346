import type { Command } from "commander";
import { VERSION } from "../../platform/version.ts";
import type { CliContext } from "./context.ts";
import { createOutput } from "./output.ts";

/** Adds `version`. */
export function addVersionCommand(program: Command, { stdout, stderr }: CliContext): void {
  program.command("version")
    .summary("print the version")
    .description("Prints the version of this software and of the runtime it runs on.")
    .option("--json", "print as JSON", false)
    .addHelpText("after", "\nExample:\n  $ sallyport-connector version --json")
    .action(({ json }: { json: boolean }) => {
      const runtime = process.versions.deno === undefined
        ? `node ${process.versions.node}`
        : `deno ${process.versions.deno}`;
      const platform = `${process.platform} ${process.arch}`;
      createOutput(json, stdout, stderr).result(`sallyport-connector ${VERSION} (${runtime}, ${platform})`, {
        version: VERSION,
        runtime,
        platform,
      });
    });
}
