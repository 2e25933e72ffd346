import type { Command } from "commander";
import type { AdminTokenAnswer, NewAdminTokenAnswer } from "../../admin/schemas/token.ts";
import { addClientCommand } from "../command.ts";
import type { CliContext } from "../context.ts";
import { table, when } from "../table.ts";

/** `admin-token ...` */
export function addAdminTokenCommands(program: Command, context: CliContext): void {
  const token = program.command("admin-token").description("bearer tokens of the admin API");

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
    about: "revoke an admin token",
    example: "sallyport-broker admin-token revoke TOKEN_ID",
  }, async (client, _options, id) => {
    const revoked = await client.delete<AdminTokenAnswer>(`admin-tokens/${encodeURIComponent(id!)}`);
    return { json: revoked, text: `Revoked admin token ${id}.` };
  });
}
