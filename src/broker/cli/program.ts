import { Command, CommanderError } from "commander";
import { SallyportError } from "../../platform/error.ts";
import { maskTokens } from "../../platform/plain_fields.ts";
import { VERSION } from "../../platform/version.ts";
import { addAdminTokenCommands } from "./commands/admin_tokens.ts";
import { addAppCommands } from "./commands/apps.ts";
import { addAuditCommands } from "./commands/audit.ts";
import { addBackupCommands } from "./commands/backup.ts";
import { addCaCommands } from "./commands/ca.ts";
import { addConfigCommands, prepareCheckCommand } from "./commands/config.ts";
import { addConnectorCommands } from "./commands/connectors.ts";
import { addGroupCommands } from "./commands/groups.ts";
import { addInitCommand } from "./commands/init.ts";
import { addLogCommands } from "./commands/log.ts";
import { addRunCommand, prepareRunCommand } from "./commands/run.ts";
import { addSettingsCommands } from "./commands/settings.ts";
import { addTokenCommands } from "./commands/tokens.ts";
import type { CliContext } from "./context.ts";
import { exitCodeOf } from "./exit_code.ts";

/** Every command of the broker, in the order of `--help`. */
const COMMANDS = [
  addInitCommand,
  addRunCommand,
  addConfigCommands,
  addTokenCommands,
  addAppCommands,
  addGroupCommands,
  addConnectorCommands,
  addSettingsCommands,
  addLogCommands,
  addAuditCommands,
  addAdminTokenCommands,
  addCaCommands,
  addBackupCommands,
];

/** Commands whose flags come from the configuration's specification, which is not loaded for the others. */
const PREPARED: Readonly<Record<string, (command: Command) => Promise<void>>> = {
  run: prepareRunCommand,
  check: prepareCheckCommand,
};

/** Runs one command line to its end and says what the process is to exit with. Never throws. */
export async function runCli(args: readonly string[], context: CliContext): Promise<number> {
  try {
    await createProgram(context).parseAsync(args, { from: "user" });
    return 0;
  } catch (error) {
    // Commander has printed its own; `--help` and `--version` come this way too, with exit code 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    context.warn(`${maskTokens(errorText(error, args.includes("--json")))}\n`);
    return exitCodeOf(error);
  }
}

/** The program with all its commands; `parseAsync` runs one. */
export function createProgram(context: CliContext): Command {
  const program = new Command("sallyport-broker");
  program
    .description(
      "The public side of Sallyport: takes users' requests and hands them to connectors that dialled out.",
    )
    .version(VERSION)
    .showHelpAfterError("(add --help for an explanation and an example)")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.write(text),
      writeErr: (text) => context.warn(maskTokens(text)),
    })
    .addHelpText("after", FIRST_STEPS);
  for (const add of COMMANDS) add(program, context);
  for (const parent of [program, ...program.commands]) {
    parent.hook("preSubcommand", async (_parent, command) => await PREPARED[command.name()]?.(command));
  }
  return program;
}

const FIRST_STEPS = `
First steps:
  sallyport-broker run --data-dir ./data --public-listen [::]:8443 --certificates '[{"hosts":["*.example.com"],"certFile":"pub.pem","keyFile":"pub.key"}]'
  sallyport-broker token create --data-dir ./data > token.txt
  sallyport-broker app create --data-dir ./data --name Wiki --external-url https://wiki.example.com --internal-url http://10.0.0.5:8080

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.`;

/** What is said of a failure: a message for people, an object for machines; the stack only of what nobody foresaw. */
function errorText(error: unknown, json: boolean): string {
  const known = error instanceof SallyportError;
  const code = known ? error.code : "internal_error";
  const message = error instanceof Error ? error.message : String(error);
  if (json) {
    const details = known && Object.keys(error.details).length > 0 ? { details: error.details } : {};
    return JSON.stringify({ error: { code, message, ...details } });
  }
  return known || !(error instanceof Error) ? `Error: ${message} (${code})` : `${error.stack} (${code})`;
}
