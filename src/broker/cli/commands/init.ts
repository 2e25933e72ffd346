import type { Command } from "commander";
import { silentLog } from "../../../platform/log.ts";
import { addCommand, addLocation } from "../command.ts";
import { asLocated, localConfiguration, type LocationOptions } from "../configuration.ts";
import { type CliContext, printAnswer } from "../context.ts";
import { facts } from "../table.ts";

/** `init` */
export function addInitCommand(program: Command, context: CliContext): void {
  addLocation(addCommand(program, {
    usage: "init",
    about:
      "make the data folder: store, CA and the first admin token; what is there stays (run does the same)",
    example: "sallyport-broker init --data-dir /var/lib/sallyport-broker",
  }))
    .option("--json", "print JSON")
    .action(async ({ json, ...location }: LocationOptions & { json?: boolean }) => {
      const config = await localConfiguration(location, context);
      const { dataDir } = config;
      const { dataFolder } = await import("../../data_folder.ts");
      const { openStore } = await import("../../store/sqlite.ts");
      const { openConfiguredCa } = await import("../../configured_ca.ts");
      const { refuseUnfinishedRestore } = await import("../../unfinished_restore.ts");
      const { ensureFirstAdminToken } = await import("../../admin/first_token.ts");
      const { checkDataFolderOwner } = await import("../../data_folder_modes.ts");
      const folder = dataFolder(dataDir);
      await checkDataFolderOwner(dataDir);
      await refuseUnfinishedRestore(folder);
      await using store = await openStore({ path: folder.store });
      // Nobody watches the clock here: what is due of an authority that is there is left to the broker.
      const isClockTrusted = () => false;
      await using ca = await openConfiguredCa(config, context.env, store, { isClockTrusted, log: silentLog });
      const tokenMade = await ensureFirstAdminToken(store, folder.adminToken, silentLog);
      const { caFingerprint } = ca;
      const made = { dataDir, caFingerprint, adminTokenFile: folder.adminToken, adminTokenMade: tokenMade };
      const text = [
        facts([
          ["data folder", dataDir],
          ["CA fingerprint", caFingerprint],
          ["admin token", tokenMade ? `${folder.adminToken} (new, mode 0600)` : "was made before"],
        ]),
        "",
        `Next: sallyport-broker run${asLocated(location)}`,
      ];
      printAnswer(context, { json: made, text: text.join("\n") }, json ?? false);
    });
}
