import type { Command } from "commander";
import { silentLog } from "../../../platform/log.ts";
import { addCommand, addLocation } from "../command.ts";
import { localConfiguration, type LocationOptions } from "../configuration.ts";
import { type CliContext, printAnswer } from "../context.ts";
import { facts } from "../table.ts";
import { quote } from "./groups.ts";

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
      const { dataDir, tunnelName, enrolName, caKeyFile } = await localConfiguration(location, context);
      const { dataFolder } = await import("../../data_folder.ts");
      const { openStore } = await import("../../store/sqlite.ts");
      const { openCa } = await import("../../ca/ca.ts");
      const { readCaKey } = await import("../../ca/ca_key.ts");
      const { mayCreateAuthority } = await import("../../ca/may_create.ts");
      const { refuseUnfinishedRestore } = await import("../../unfinished_restore.ts");
      const { ensureFirstAdminToken } = await import("../../admin/first_token.ts");
      const folder = dataFolder(dataDir);
      await refuseUnfinishedRestore(folder);
      await using store = await openStore({ path: folder.store });
      await using ca = await openCa(dataDir, {
        names: [tunnelName, enrolName],
        key: await readCaKey(caKeyFile, context.env),
        mayCreate: () => mayCreateAuthority(store),
        log: silentLog,
      });
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
        `Next: sallyport-broker run --data-dir ${quote(dataDir)}`,
      ];
      printAnswer(context, { json: made, text: text.join("\n") }, json ?? false);
    });
}
