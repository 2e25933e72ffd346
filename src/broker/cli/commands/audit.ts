import type { Command } from "commander";
import type { AuditAnswer } from "../../admin/schemas/audit.ts";
import { addClientCommand, addCommand, wholeNumber } from "../command.ts";
import type { CliContext } from "../context.ts";
import { UsageError } from "../errors.ts";
import { table, when } from "../table.ts";

/** `audit ...` */
export function addAuditCommands(program: Command, context: CliContext): void {
  const audit = addCommand(program, {
    usage: "audit",
    about: "who changed what",
    example: "sallyport-broker audit list --limit 20",
  });

  addClientCommand<{ limit: number }>(audit, context, {
    usage: "list",
    about: "list changes, newest first",
    example: "sallyport-broker audit list --limit 20",
  }, async (client, { limit }) => {
    if (limit < 1) throw new UsageError("usage_invalid", "Cannot list fewer than one change");
    const entries = await client.list<AuditAnswer>("audit", limit);
    const rows = entries.map(({ at, actor, action, target, details }) => [
      when(at),
      `${actor.kind} ${actor.id}`,
      actor.address,
      action,
      target,
      shorten(JSON.stringify(details)),
    ]);
    const head = ["WHEN", "WHO", "FROM", "ACTION", "TARGET", "DETAILS"];
    return { json: entries, text: table(head, rows, "Nothing was changed yet.") };
  }).option("--limit <number>", "how many (default: 50)", wholeNumber("--limit"), 50);
}

const shorten = (text: string) => text.length <= 100 ? text : `${text.slice(0, 99)}…`;
