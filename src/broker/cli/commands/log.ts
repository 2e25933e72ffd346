import type { Command } from "commander";
import type { SettingsAnswer } from "../../admin/schemas/settings.ts";
import { addClientCommand, addCommand, onOff } from "../command.ts";
import type { CliContext } from "../context.ts";

/** `log ...`: a shorter way to two of the settings. */
export function addLogCommands(program: Command, context: CliContext): void {
  const log = addCommand(program, {
    usage: "log",
    about: "what is logged, on the broker and on connectors",
    example: "sallyport-broker log level debug",
  });

  addClientCommand(log, context, {
    usage: "level [level]",
    about: "show or set the least severity that is logged: debug, info, warn or error",
    example: "sallyport-broker log level debug",
  }, async (client, _options, logLevel) => {
    const found = logLevel === undefined
      ? await client.get<SettingsAnswer>("settings")
      : await client.patch<SettingsAnswer>("settings", { logLevel });
    return { json: { logLevel: found.logLevel }, text: `Log level: ${found.logLevel}` };
  });

  addClientCommand(log, context, {
    usage: "session [on|off]",
    about: "show or switch the session log: one line an exchange",
    example: "sallyport-broker log session on",
  }, async (client, _options, word) => {
    const found = word === undefined
      ? await client.get<SettingsAnswer>("settings")
      : await client.patch<SettingsAnswer>("settings", { sessionLog: onOff(word) });
    return {
      json: { sessionLog: found.sessionLog },
      text: `Session log: ${found.sessionLog ? "on" : "off"}`,
    };
  });
}
