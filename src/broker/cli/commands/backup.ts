import { join } from "node:path";
import type { Command } from "commander";
import { addCommand, addLocation } from "../command.ts";
import { asLocated, localConfiguration, type LocationOptions } from "../configuration.ts";
import { type CliContext, printAnswer } from "../context.ts";
import { shellWord } from "../shell_word.ts";

interface Options extends LocationOptions {
  to?: string;
  json?: boolean;
}

/** `backup` and `restore`: they work on the files themselves, so they need no token and no running broker. */
export function addBackupCommands(program: Command, context: CliContext): void {
  addLocation(addCommand(program, {
    usage: "backup",
    about: "copy store, CA and admin token into a new folder, also while the broker runs",
    example: "sallyport-broker backup --to /srv/backups/sallyport-monday",
  }))
    .option(
      "--to <folder>",
      "a folder that does not exist yet (default: one below backups/ in the data folder)",
    )
    .option("--json", "print JSON")
    .action(async ({ to, json, ...location }: Options) => {
      const { backupDataFolder, fileTime } = await import("../backup.ts");
      const { dataFolder } = await import("../../data_folder.ts");
      const { checkDataFolderOwner } = await import("../../data_folder_modes.ts");
      const { dataDir, caSignCommand } = await localConfiguration(location, context);
      const isCaElsewhere = caSignCommand.length > 0;
      if (to === undefined) await checkDataFolderOwner(dataDir);
      const folder = to ?? join(dataFolder(dataDir).backups, fileTime(Date.now()));
      await backupDataFolder(dataDir, folder, { isCaElsewhere });
      const secrets = isCaElsewhere ? "an admin token" : "the CA's keys";
      const text =
        `Backed up "${dataDir}" to "${folder}".\nIt holds ${secrets}: keep it as safe as the broker. ` +
        `Back from it: sallyport-broker restore ${shellWord(folder)}${asLocated(location)}`;
      printAnswer(context, { json: { backup: folder }, text }, json ?? false);
    });

  addLocation(addCommand(program, {
    usage: "restore <folder>",
    about: "put a backup in the place of the store and the CA; the broker must be stopped",
    example: "sallyport-broker restore /srv/backups/sallyport-monday",
  }))
    .option("--json", "print JSON")
    .action(async (folder: string, { json, ...location }: Options) => {
      const { restoreDataFolder } = await import("../backup.ts");
      const { dataDir, caSignCommand } = await localConfiguration(location, context);
      const isCaElsewhere = caSignCommand.length > 0;
      const result = await restoreDataFolder(folder, dataDir, { isCaElsewhere });
      const kept = [result.replacedStore, result.replacedCa].filter((path) => path !== null);
      const text = [
        `Restored "${dataDir}" from "${folder}".`,
        ...kept.map((path) => `What was there before is in "${path}".`),
        "What was revoked or deleted since the backup is back: look at token list and connector list.",
        `Next: sallyport-broker run${asLocated(location)}`,
      ];
      printAnswer(context, { json: { restored: dataDir, ...result }, text: text.join("\n") }, json ?? false);
    });
}
