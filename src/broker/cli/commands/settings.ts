import type { Command } from "commander";
import type { SettingsAnswer, SettingsPatch } from "../../admin/schemas/settings.ts";
import { addClientCommand, addCommand, onOff, wholeNumber } from "../command.ts";
import type { CliContext } from "../context.ts";
import { UsageError } from "../errors.ts";
import { facts } from "../table.ts";

type SettingName = SettingsAnswer["set"][number];

const AS_CONFIGURED = "as configured; connectors by their own configuration";
/** Where a value is from that nobody has set, unless it is the default. */
const UNSET: Readonly<Partial<Record<SettingName, string>>> = {
  logLevel: AS_CONFIGURED,
  sessionLog: AS_CONFIGURED,
};

/** `settings ...` */
export function addSettingsCommands(program: Command, context: CliContext): void {
  const settings = addCommand(program, {
    usage: "settings",
    about: "what can be changed while the broker runs",
    example: "sallyport-broker settings show",
  });

  addClientCommand(settings, context, {
    usage: "show",
    about: "show the settings in force, and which of them nobody has set",
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
  const { latestVersion, desiredConnectorVersion, sessionLog, logLevel, sharedIdentity } = settings;
  const { reenrolment, reenrolmentGraceDays } = settings;
  const shown = (name: SettingName, value: string): string =>
    settings.set.includes(name) ? value : `${value} (${UNSET[name] ?? "default"})`;
  return facts([
    ["latest version", shown("latestVersion", latestVersion === "" ? "unknown" : latestVersion)],
    [
      "desired connector version",
      shown("desiredConnectorVersion", desiredConnectorVersion === "" ? "any" : desiredConnectorVersion),
    ],
    ["session log", shown("sessionLog", sessionLog ? "on" : "off")],
    ["log level", shown("logLevel", logLevel)],
    [
      "coming back after expiry",
      reenrolment
        ? shown("reenrolmentGraceDays", `within ${reenrolmentGraceDays} days`)
        : shown("reenrolment", "off"),
    ],
    ["shared identity", shown("sharedIdentity", sharedIdentity)],
  ]);
}
