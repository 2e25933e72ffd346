import type { Command } from "commander";
import { type LogFields, silentLog } from "../../../platform/log.ts";
import type { BrokerConfiguration } from "../../config.ts";
import { NO_CERTIFICATE, servesNobody } from "../../no_certificate.ts";
import { addCommand } from "../command.ts";
import { addBrokerOptions, localConfiguration } from "../configuration.ts";
import { type CliContext, printAnswer } from "../context.ts";
import { table } from "../table.ts";

/** `config check`. Its flags are added when it is chosen: `prepareCheckCommand`. */
export function addConfigCommands(program: Command, context: CliContext): void {
  const config = addCommand(program, {
    usage: "config",
    about: "the configuration of run",
    example: "sallyport-broker config check --config /etc/sallyport/broker.yaml",
  });
  addCommand(config, {
    usage: "check",
    about: "check file, variables and flags as run would, and show what comes of them",
    example: "sallyport-broker config check --config /etc/sallyport/broker.yaml",
  })
    .option("--json", "print JSON")
    .action(async ({ json, ...flags }: { json?: boolean }) => {
      const values = await localConfiguration(flags, context);
      const warnings = await tryCertificates(values);
      const rows = Object.entries(values).map(([key, value]) => [
        key,
        typeof value === "object" ? JSON.stringify(value) : value as string | number | boolean,
      ]);
      const text = ["The configuration is valid.", ...warnings.map((warning) => `Warning: ${warning}`), ""];
      text.push(table(["KEY", "VALUE"], rows, ""));
      const answer = { json: { valid: true, warnings, values }, text: text.join("\n") };
      printAnswer(context, answer, json ?? false);
    });
}

/** Reads the public certificates as `run` would; what is wrong with them but no reason not to start. Throws `CertificateError`. */
async function tryCertificates(values: BrokerConfiguration): Promise<string[]> {
  const { createCertificates } = await import("../../ingress/certificates.ts");
  const warnings: string[] = [];
  const log = {
    ...silentLog,
    warn: (message: string, facts: LogFields = {}) => void warnings.push(`${message}: ${inWords(facts)}`),
  };
  const { certificates: files, tlsMinVersion: minVersion } = values;
  using _certificates = await createCertificates({ files, minVersion, log });
  if (servesNobody(values)) warnings.push(NO_CERTIFICATE);
  return warnings;
}

function inWords(facts: LogFields): string {
  return Object.entries(facts).map(([name, fact]) =>
    `${name} ${fact instanceof Date ? fact.toISOString() : JSON.stringify(fact)}`
  ).join(", ");
}

/** Adds a flag for each configuration key to `config check`. */
export const prepareCheckCommand = addBrokerOptions;
