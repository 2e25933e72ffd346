import type { Command } from "commander";
import { type AccessOptions, openAdminClient } from "./access.ts";
import type { AdminClient } from "./admin_client.ts";
import { type Answer, type CliContext, printAnswer } from "./context.ts";
import { UsageError } from "./errors.ts";

/** What `--help` tells of a command. */
export interface CommandText {
  /** Name and arguments, e.g. `show <app>`. */
  usage: string;
  about: string;
  /** A whole line that works. */
  example: string;
}

/** Adds a command with its help. */
export function addCommand(parent: Command, { usage, about, example }: CommandText): Command {
  return parent.command(usage).description(about).addHelpText("after", `\nExample:\n  ${example}`);
}

/** A command that asks the admin API: adds the flags for that, and prints what `run` answers. */
export function addClientCommand<Options extends object>(
  parent: Command,
  context: CliContext,
  text: CommandText,
  run: (client: AdminClient, options: Options, ...args: string[]) => Promise<Answer>,
): Command {
  return addLocation(addCommand(parent, text))
    .option("--admin-url <url>", "admin API (SALLYPORT_ADMIN_URL; default: where this host's broker listens)")
    .option(
      "--admin-token-file <file>",
      "file with an admin token (SALLYPORT_ADMIN_TOKEN_FILE; default: in the data folder)",
    )
    .option("--json", "print JSON")
    .action(async (...given: unknown[]) => {
      const options = given.at(-2) as Options & AccessOptions & { json?: boolean };
      const flags = (given.at(-1) as Command).options.map(({ long }) => long ?? "");
      const client = await openAdminClient(options, context, new Set(flags));
      const answer = await run(client, options, ...given.slice(0, -2) as string[]);
      printAnswer(context, answer, options.json ?? false);
    });
}

/** Flags of commands that need to know where the broker's files are. */
export function addLocation(command: Command): Command {
  return command
    .option("--config <file>", "the broker's configuration file (SALLYPORT_CONFIG)")
    .option("--data-dir <folder>", "the broker's data folder (SALLYPORT_DATA_DIR)");
}

/** Reads the whole number of a flag. */
export function wholeNumber(flag: string): (text: string) => number {
  return (text) => {
    if (/^\d{1,15}$/.test(text)) return Number(text);
    throw new UsageError("usage_invalid", `Cannot use ${flag} "${text}": expected a whole number`);
  };
}

/** One more value of a flag that may be given several times. */
export function collect(value: string, before: string[] | undefined): string[] {
  return [...before ?? [], value];
}

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** A duration such as `90s`, `30m`, `24h` or `7d`, in seconds. */
export function durationSeconds(text: string): number {
  const match = /^(\d{1,9})([smhd])$/.exec(text);
  if (match === null) {
    throw new UsageError(
      "usage_invalid",
      `Cannot use duration "${text}": expected one like 90s, 30m, 24h or 7d`,
    );
  }
  return Number(match[1]) * SECONDS[match[2]!]!;
}

/** `on` or `off`. */
export function onOff(text: string): boolean {
  if (text === "on" || text === "off") return text === "on";
  throw new UsageError("usage_invalid", `Cannot use "${text}": expected on or off`);
}
