import { hostname } from "node:os";
import type { Command } from "commander";
import { type Environment, loadConfiguration } from "../../platform/configuration.ts";
import { silentLog } from "../../platform/log.ts";
import { VERSION } from "../../platform/version.ts";
import { formatHostPort } from "../../protocol/address.ts";
import { CONNECTOR_CONFIGURATION } from "../config.ts";
import { type RegistrationConfiguration, registrationConfiguration } from "../registration_config.ts";
import type { CliContext } from "./context.ts";
import { UsageError } from "./errors.ts";
import { createOutput } from "./output.ts";
import { brokerProxy } from "../outbound/broker_proxy.ts";
import { readToken } from "./token_source.ts";

const EXAMPLES = `
Examples:
  $ sallyport-connector register --token-file token.txt
  $ sallyport-broker token create --group Default | sallyport-connector register --token-file -
  $ sallyport-connector register --answer-file answers.yaml --json
  $ SALLYPORT_TOKEN=spt1_... sallyport-connector register --state-dir /var/lib/wiki-connector --json

An answer file has lines such as "tokenFile: /etc/sallyport/token" or "token: spt1_...", "machineName: dmz-1",
"caFingerprint: 3f2a...", "keyType: p384", "stateDir: /srv/connector", "force: true", "stepTimeoutMs: 20000".

The token is never taken from the command line, where every user of this host could read it.`;

interface Flags {
  tokenFile?: string;
  answerFile?: string;
  machineName?: string;
  caFingerprint?: string;
  keyType?: string;
  force?: boolean;
  stepTimeoutMs?: string;
  proxy?: string;
  proxyCredentialsFile?: string;
  proxyCaFile?: string;
  fips?: boolean;
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
    .option("--answer-file <file>", "YAML file with answers: token, tokenFile, ... (SALLYPORT_ANSWER_FILE)")
    .option("--state-dir <folder>", "folder of the identity (SALLYPORT_STATE_DIR)")
    .option("--config <file>", "configuration file, YAML (SALLYPORT_CONFIG)")
    .option("--machine-name <name>", "name under which the broker shows this host; default: its host name")
    .option(
      "--ca-fingerprint <hex>",
      "SHA-256 of the broker's root certificate: the token must be of that broker",
    )
    .option("--key-type <type>", "p256 (default), p384 or rsa3072")
    .option("--step-timeout-ms <number>", "time for each step: connect, TLS, answer; default: 10000")
    .option("--proxy <url>", "HTTP proxy on the way to the broker, or none (SALLYPORT_PROXY, HTTPS_PROXY)")
    .option("--proxy-credentials-file <file>", "file with user:password for the proxy, one line")
    .option("--proxy-ca-file <file>", "PEM certificates by which a proxy with TLS is trusted")
    .option("--fips", "prove first that cryptography comes from a FIPS provider")
    .option("--force", "replace the identity that is there")
    .option("--json", "print the result as JSON", false)
    .addHelpText("after", EXAMPLES)
    .action(async (argument: string | undefined, { json, ...flags }: Flags) => {
      if (argument !== undefined) {
        throw new UsageError(
          "token_in_arguments",
          "Cannot take a token from the command line, where every user of this host can read it: use --token-file " +
            "or SALLYPORT_TOKEN, and revoke this token if the host is shared",
        );
      }
      const answers = readAnswers(flags, env);
      const { stateDir: folder, machineName, caFingerprint, force, keyType, stepTimeoutMs } = answers;
      if (answers.fips) await (await import("../fips.ts")).proveFips();
      const token = await readToken({ ...tokenSource(flags, env, answers), stdin, signal });
      const { register } = await import("../identity/register.ts");
      const identity = await register({
        stateDir: folder,
        token,
        machineName: machineName || hostname(),
        os: `${process.platform} ${process.arch}`,
        version: VERSION,
        log: silentLog,
        force,
        keyType,
        stepMs: stepTimeoutMs,
        signal,
        proxyFor: brokerProxy(answers, env),
        ...(caFingerprint === "" ? {} : { caFingerprint }),
      });
      const { connectorId, address, tunnelName, notAfter } = identity;
      const brokerAddress = formatHostPort(address);
      const certificateNotAfter = new Date(notAfter).toISOString();
      const next = [
        "sallyport-connector run",
        ...(flags.config === undefined ? [] : ["--config", flags.config]),
        ...(folder === runFolder(flags.config, env) ? [] : ["--state-dir", folder]),
      ];
      createOutput(json, stdout, stderr).result(
        `Registered connector ${connectorId} with broker ${brokerAddress}; certificate valid until ${certificateNotAfter}.\n` +
          `Identity in ${folder}. Next: ${next.join(" ")}`,
        { connectorId, brokerAddress, tunnelName, stateDir: folder, certificateNotAfter },
      );
    });
}

/** Flags win over variables, which win over the answer file, which wins over the configuration file. */
function readAnswers(
  { answerFile, config, ...flags }: Partial<Flags>,
  env: Environment,
): RegistrationConfiguration {
  const base = loadConfiguration(CONNECTOR_CONFIGURATION, { flags: { config }, env });
  const file = answerFile ?? env.SALLYPORT_ANSWER_FILE;
  const { SALLYPORT_CONFIG: _, ...others } = env;
  return loadConfiguration(registrationConfiguration(base), {
    flags,
    env: others,
    ...(file === undefined ? {} : { file }),
  });
}

/** The state folder that `run` takes where no flag names one. */
function runFolder(config: string | undefined, env: Environment): string {
  return loadConfiguration(CONNECTOR_CONFIGURATION, { flags: { config }, env }).stateDir;
}

/** A flag or variable for this one call counts before what a file says. */
function tokenSource(
  flags: Partial<Flags>,
  env: Environment,
  { token, tokenFile }: RegistrationConfiguration,
): { file: string | undefined; variable: string | undefined } {
  const file = flags.tokenFile ?? env.SALLYPORT_TOKEN_FILE;
  if (file !== undefined || env.SALLYPORT_TOKEN !== undefined) return { file, variable: env.SALLYPORT_TOKEN };
  const text = token.reveal();
  return { file: tokenFile || undefined, variable: text || undefined };
}
