import { Command, CommanderError } from "commander";
import { ConfigurationError } from "../../platform/errors.ts";
import { maskTokens } from "../../platform/plain_fields.ts";
import { VERSION } from "../../platform/version.ts";
import type { CliContext } from "./context.ts";
import { UsageError } from "./errors.ts";
import { createOutput } from "./output.ts";
import { addDoctorCommand } from "./doctor_command.ts";
import { addRegisterCommand } from "./register_command.ts";
import { addRunCommand } from "./run_command.ts";
import { addStatusCommand } from "./status_command.ts";
import { addVersionCommand } from "./version_command.ts";

/** 0 done, 1 failed while running, 2 wrong usage or configuration. */
export type ExitCode = 0 | 1 | 2;

/** Runs one command of `sallyport-connector`; `args` are without runtime and script. Never rejects. */
export async function runProgram(args: readonly string[], context: CliContext): Promise<ExitCode> {
  const program = new Command("sallyport-connector")
    .version(VERSION)
    .description(
      "The private side of a Sallyport tunnel: dials out to its broker and serves internal applications.",
    )
    .showHelpAfterError("(add --help for an explanation and an example)")
    .configureOutput({
      writeOut: (text) => void context.stdout.write(text),
      writeErr: (text) => void context.stderr.write(maskTokens(text)),
    })
    .addHelpText(
      "after",
      "\nExample:\n  $ sallyport-connector register --token-file token.txt && sallyport-connector run",
    )
    .exitOverride();
  addRegisterCommand(program, context);
  addRunCommand(program, context);
  addStatusCommand(program, context);
  addDoctorCommand(program, context);
  addVersionCommand(program, context);
  try {
    await program.parseAsync(args, { from: "user" });
    return 0;
  } catch (error) {
    // commander has already written what it has to say; help that was asked for is no failure.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    createOutput(args.includes("--json"), context.stdout, context.stderr).failure(error);
    return isUsage(error) ? 2 : 1;
  }
}

/** What was called cannot work before a person has done something here. */
const USAGE_CODES: ReadonlySet<unknown> = new Set([
  "token_malformed",
  "state_not_registered",
  "fips_unproven",
  "allow_list_invalid",
  "backend_misconfigured",
  "proxy_misconfigured",
  "proxy_credentials_unreadable",
  "proxy_ca_unreadable",
]);

function isUsage(error: unknown): boolean {
  return error instanceof UsageError || error instanceof ConfigurationError ||
    USAGE_CODES.has((error as { code?: unknown } | null)?.code);
}
