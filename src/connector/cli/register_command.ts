import { hostname } from "node:os";
import type { Command } from "commander";
import { loadConfiguration } from "../../platform/configuration.ts";
import { silentLog } from "../../platform/log.ts";
import { VERSION } from "../../platform/version.ts";
import { formatHostPort } from "../../protocol/address.ts";
import { CONNECTOR_CONFIGURATION } from "../config.ts";
import type { CliContext } from "./context.ts";
import { UsageError } from "./errors.ts";
import { createOutput } from "./output.ts";
import { readToken } from "./token_source.ts";

const KEY_TYPES = ["p256", "p384", "rsa3072"] as const;

const EXAMPLES = `
Examples:
  $ sallyport-connector register --token-file token.txt
  $ sallyport-broker token create --group Default | sallyport-connector register --token-file -
  $ SALLYPORT_TOKEN=spt1_... sallyport-connector register --state-dir /var/lib/wiki-connector --json

The token is never taken from the command line, where every user of this host could read it.`;

interface Flags {
  tokenFile?: string;
  machineName?: string;
  keyType: string;
  force: boolean;
  stepTimeoutMs: string;
  stateDir?: string;
  config?: string;
  json: boolean;
}

/** Adds `register`. */
export function addRegisterCommand(
  program: Command,
  { env, stdin, stdout, stderr, signal }: CliContext,
): void {
  program.command("register")
    .summary("make this host a connector, with an enrolment token")
    .description(
      "Makes a key on this host and gets a certificate for it from the broker that the token names.",
    )
    .argument("[token]", "refused: see below")
    .option("--token-file <file>", "file that holds the token, - for standard input (SALLYPORT_TOKEN_FILE)")
    .option("--state-dir <folder>", "folder of the identity (SALLYPORT_STATE_DIR)")
    .option("--config <file>", "configuration file, YAML (SALLYPORT_CONFIG)")
    .option("--machine-name <name>", "name under which the broker shows this host; default: its host name")
    .option("--key-type <type>", `${KEY_TYPES.join(", ")}`, "p256")
    .option("--step-timeout-ms <number>", "time for each step: connect, TLS, answer", "10000")
    .option("--force", "replace the identity that is there", false)
    .option("--json", "print the result as JSON", false)
    .addHelpText("after", EXAMPLES)
    .action(async (argument: string | undefined, flags: Flags) => {
      if (argument !== undefined) {
        throw new UsageError(
          "token_in_arguments",
          "Cannot take a token from the command line, where every user of this host can read it: use --token-file " +
            "or SALLYPORT_TOKEN, and revoke this token if the host is shared",
        );
      }
      const keyType = KEY_TYPES.find((type) => type === flags.keyType);
      if (keyType === undefined) {
        throw new UsageError("usage", `Cannot make a key of type "${flags.keyType}"`);
      }
      const { stateDir, config } = flags;
      const { stateDir: folder } = loadConfiguration(CONNECTOR_CONFIGURATION, {
        flags: { stateDir, config },
        env,
      });
      const file = flags.tokenFile ?? env.SALLYPORT_TOKEN_FILE;
      const token = await readToken({ file, variable: env.SALLYPORT_TOKEN, stdin });
      const { register } = await import("../identity/register.ts");
      const identity = await register({
        stateDir: folder,
        token,
        machineName: flags.machineName ?? hostname(),
        os: `${process.platform} ${process.arch}`,
        version: VERSION,
        log: silentLog,
        force: flags.force,
        keyType,
        stepMs: stepTimeout(flags.stepTimeoutMs),
        signal,
      });
      const { connectorId, address, tunnelName, notAfter } = identity;
      const brokerAddress = formatHostPort(address);
      const certificateNotAfter = new Date(notAfter).toISOString();
      createOutput(flags.json, stdout, stderr).result(
        `Registered connector ${connectorId} with broker ${brokerAddress}; certificate valid until ${certificateNotAfter}.\n` +
          `Identity in ${folder}. Next: sallyport-connector run`,
        { connectorId, brokerAddress, tunnelName, stateDir: folder, certificateNotAfter },
      );
    });
}

function stepTimeout(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 100 && value <= 600_000) return value;
  throw new UsageError(
    "usage",
    `Cannot use --step-timeout-ms "${text}": it is not a number from 100 to 600000`,
  );
}
