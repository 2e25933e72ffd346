import type { Command } from "commander";
import type { AdminTokenAnswer, NewAdminTokenAnswer } from "../../admin/schemas/token.ts";
import { addClientCommand, addCommand, addLocation } from "../command.ts";
import { localConfiguration, type LocationOptions } from "../configuration.ts";
import { type CliContext, printAnswer } from "../context.ts";
import { UsageError } from "../errors.ts";
import { table, when } from "../table.ts";

/** `admin-token ...` */
export function addAdminTokenCommands(program: Command, context: CliContext): void {
  const token = addCommand(program, {
    usage: "admin-token",
    about: "bearer tokens of the admin API",
    example: "sallyport-broker admin-token create ci",
  });

  addClientCommand(token, context, {
    usage: "create <name>",
    about: "create an admin token; it is shown once",
    example: "sallyport-broker admin-token create alice",
  }, async (client, _options, name) => {
    const made = await client.post<NewAdminTokenAnswer>("admin-tokens", { name });
    return {
      json: made,
      text: made.token,
      around: {
        before: `Created admin token ${made.id}. It is shown only now:\n`,
        after:
          "\nNext: keep it in a file that only its owner can read, and name that with --admin-token-file.",
      },
    };
  });

  addClientCommand(token, context, {
    usage: "list",
    about: "list admin tokens",
    example: "sallyport-broker admin-token list",
  }, async (client) => {
    const tokens = await client.list<AdminTokenAnswer>("admin-tokens");
    const rows = tokens.map((t) => [t.id, t.name, when(t.createdAt), when(t.lastUsedAt), when(t.revokedAt)]);
    const head = ["ID", "NAME", "CREATED", "LAST USED", "REVOKED"];
    return { json: tokens, text: table(head, rows, "There are no admin tokens.") };
  });

  addClientCommand(token, context, {
    usage: "revoke <id>",
    about: "revoke an admin token; the last one is kept",
    example: "sallyport-broker admin-token revoke TOKEN_ID",
  }, async (client, _options, id) => {
    const revoked = await client.delete<AdminTokenAnswer>(`admin-tokens/${encodeURIComponent(id!)}`);
    return { json: revoked, text: `Revoked admin token ${id}.` };
  });

  addLocation(addCommand(token, {
    usage: "reset",
    about: "revoke all admin tokens and write a new one into the data folder; the broker must be stopped",
    example: "sallyport-broker admin-token reset",
  }))
    .option("--json", "print JSON")
    .action(async ({ json, ...location }: LocationOptions & { json?: boolean }) => {
      const { dataDir } = await localConfiguration(location, context);
      const { dataFolder } = await import("../../data_folder.ts");
      const { lockDataFolder } = await import("../../data_folder_lock.ts");
      const { checkDataFolderOwner } = await import("../../data_folder_modes.ts");
      const { openStore } = await import("../../store/sqlite.ts");
      const { exists } = await import("../../store/store_file.ts");
      const { resetAdminTokens } = await import("../../admin/first_token.ts");
      const { store: path, adminToken } = dataFolder(dataDir);
      if (!await exists(path)) {
        throw new UsageError(
          "usage_invalid",
          `Cannot reset the admin tokens: there is no store in "${dataDir}"; name the broker's --data-dir or --config`,
        );
      }
      await checkDataFolderOwner(dataDir);
      using _lock = await lockDataFolder(dataDir, false);
      await using store = await openStore({ path });
      await resetAdminTokens(store, adminToken);
      const text = `All admin tokens are revoked; a new one is in "${adminToken}".`;
      printAnswer(context, { json: { adminTokenFile: adminToken }, text }, json ?? false);
    });
}
