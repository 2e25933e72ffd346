import type { Command } from "commander";
import { addConfigurationOptions, loadConfiguration } from "../../platform/configuration.ts";
import { CONNECTOR_CONFIGURATION } from "../config.ts";
import type { Check } from "../doctor/check.ts";
import type { CliContext } from "./context.ts";

const EXAMPLES = `
Examples:
  $ sallyport-connector doctor
  $ sallyport-connector doctor --state-dir /var/lib/wiki-connector --json

Give it the configuration that the connector runs with, and run it as the connector's user. Exit code 0: all in order; 1: a check
failed; 2: wrong configuration, or --fips cannot be proven. Where no connector runs with the state folder, it opens a tunnel
of its own for a moment, which serves nothing.`;

/** Adds `doctor`. */
export function addDoctorCommand(program: Command, { env, stdout, stderr, signal }: CliContext): void {
  const command = program.command("doctor")
    .summary("find out what is wrong between this host, its broker and its backends")
    .description("Checks identity, disk, proxy, broker, clock, tunnel and every backend; says what to do.");
  addConfigurationOptions(command, CONNECTOR_CONFIGURATION)
    .option("--json", "print all findings as JSON", false)
    .addHelpText("after", EXAMPLES)
    .action(async ({ json, ...flags }: { json: boolean } & Record<string, unknown>) => {
      const config = loadConfiguration(CONNECTOR_CONFIGURATION, { flags, env });
      const { diagnose } = await import("../doctor/diagnose.ts");
      const { DoctorError } = await import("../doctor/errors.ts");
      const checks: Check[] = [];
      if (config.fips) {
        await (await import("../fips.ts")).proveFips();
        checks.push({ name: "FIPS", status: "ok", found: "proven", ms: 0 });
      }
      const isTerminal = !json && (stderr as { isTTY?: boolean }).isTTY === true;
      const progress = (text: string) => void (isTerminal && stderr.write(`\r\x1b[K${text}`));
      if (!json) { for (const check of checks) stdout.write(row(check)); }
      for await (
        const check of diagnose({
          config,
          env,
          signal,
          onBegin: (name) => progress(`${name} ...`),
        })
      ) {
        progress("");
        checks.push(check);
        if (!json) stdout.write(row(check));
      }
      progress("");
      const failed = checks.filter(({ status }) => status === "failed").length;
      if (json) stdout.write(`${JSON.stringify({ ok: failed === 0, checks })}\n`);
      if (failed > 0) {
        throw new DoctorError("checks_failed", `${failed} of ${checks.length} checks failed`, {
          details: { failed },
        });
      }
    });
}

const NAME_WIDTH = 14;

function row({ name, status, found, ms, code, cure }: Check): string {
  const time = status === "skipped" ? "" : `${ms} ms`;
  const lines = [`${status.padEnd(8)} ${name.padEnd(NAME_WIDTH)} ${time.padStart(10)}  ${found}`];
  if (code !== undefined) lines[0] += ` [${code}]`;
  if (cure !== undefined) lines.push(`${" ".repeat(9)}do: ${cure}`);
  return `${lines.join("\n")}\n`;
}
