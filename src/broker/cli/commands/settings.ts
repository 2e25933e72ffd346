import type { Command } from "commander";
import type { SettingsAnswer, SettingsPatch } from "../../admin/schemas/settings.ts";
import { addClientCommand, onOff, wholeNumber } from "../command.ts";
import type { CliContext } from "../context.ts";
import { UsageError } from "../errors.ts";
import { facts } from "../table.ts";

/** `settings ...` */
export function addSettingsCommands(program: Command, context: CliContext): void {
  const settings = program.command("settings").description("what can be changed while the broker runs");

  addClientCommand(settings, context, {
    usage: "show",
    about: "show the settings",
    example: "sallyport-broker settings show",
  }, async (client) => {
    const found = await client.get<SettingsAnswer>("settings");
    return { json: found, text: describe(found) };
  });

  addClientCommand<SettingsPatch>(settings, context, {
    usage: "set",
    about: "change settings: what is not named stays",
    example: "sallyport-broker settings set --desired-connector-version 1.2.3",
  }, async (client, options) => {
    const { latestVersion, desiredConnectorVersion, sessionLog, logLevel } = options;
    const { reenrolment, reenrolmentGraceDays, sharedIdentity } = options;
    const patch: SettingsPatch = {
      latestVersion,
      desiredConnectorVersion,
      sessionLog,
      logLevel,
      reenrolment,
      reenrolmentGraceDays,
      sharedIdentity,
    };
    if (Object.values(patch).every((value) => value === undefined)) {
      throw new UsageError("usage_invalid", "Cannot change settings: nothing to change was given");
    }
    const changed = await client.patch<SettingsAnswer>("settings", patch);
    return { json: changed, text: `Changed the settings.\n${describe(changed)}` };
  })
    .option("--latest-version <version>", "newest released version; empty when unknown")
    .option("--desired-connector-version <version>", "version that connectors should run; empty for any")
    .option("--session-log <on|off>", "one log line an exchange", onOff)
    .option("--log-level <level>", "debug, info, warn or error")
    .option(
      "--reenrolment <on|off>",
      "whether a connector whose certificate expired while it was off may come back by itself",
      onOff,
    )
    .option(
      "--reenrolment-grace-days <number>",
      "days after its certificate's end within which it may",
      wholeNumber("--reenrolment-grace-days"),
    )
    .option("--shared-identity <allow|refuse>", "two processes with one connector's identity at once");
}

function describe(settings: SettingsAnswer): string {
  return facts([
    ["latest version", settings.latestVersion],
    ["desired connector version", settings.desiredConnectorVersion],
    ["session log", settings.sessionLog ? "on" : "off"],
    ["log level", settings.logLevel],
    [
      "coming back after expiry",
      settings.reenrolment ? `within ${settings.reenrolmentGraceDays} days` : "off",
    ],
    ["shared identity", settings.sharedIdentity],
  ]);
}
