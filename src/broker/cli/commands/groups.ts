import type { Command } from "commander";
import type { GroupAnswer } from "../../admin/schemas/group.ts";
import type { AdminClient } from "../admin_client.ts";
import { addClientCommand, addCommand } from "../command.ts";
import type { CliContext } from "../context.ts";
import { shellWord } from "../shell_word.ts";
import { lookup } from "../lookup.ts";
import { table, when } from "../table.ts";

/** The group that a person means. */
export const findGroup = (client: AdminClient, reference: string): Promise<GroupAnswer> =>
  lookup<GroupAnswer>(client, "groups", reference, ({ name }) => name);

/** `group ...` */
export function addGroupCommands(program: Command, context: CliContext): void {
  const group = addCommand(program, {
    usage: "group",
    about: "groups of interchangeable connectors",
    example: "sallyport-broker group create Berlin",
  });

  addClientCommand(group, context, {
    usage: "list",
    about: "list groups",
    example: "sallyport-broker group list",
  }, async (client) => {
    const groups = await client.list<GroupAnswer>("groups");
    const rows = groups.map(({ id, name, createdAt }) => [id, name, when(createdAt)]);
    return { json: groups, text: table(["ID", "NAME", "CREATED"], rows, "There are no groups.") };
  });

  addClientCommand(group, context, {
    usage: "create <name>",
    about: "create a group",
    example: "sallyport-broker group create Berlin",
  }, async (client, _options, name) => {
    const made = await client.post<GroupAnswer>("groups", { name });
    const next = `Next: sallyport-broker token create --group ${shellWord(made.name)}`;
    return { json: made, text: `Created group "${made.name}" (${made.id}).\n${next}` };
  });

  addClientCommand(group, context, {
    usage: "rename <group> <name>",
    about: "rename a group, given by id or name",
    example: "sallyport-broker group rename Berlin Potsdam",
  }, async (client, _options, reference, name) => {
    const { id, name: before } = await findGroup(client, reference!);
    const group = await client.patch<GroupAnswer>(`groups/${id}`, { name });
    return { json: group, text: `Renamed group "${before}" to "${group.name}".` };
  });

  addClientCommand(group, context, {
    usage: "delete <group>",
    about: "delete a group without connectors and apps",
    example: "sallyport-broker group delete Berlin",
  }, async (client, _options, reference) => {
    const { id, name } = await findGroup(client, reference!);
    await client.delete(`groups/${id}`);
    return { json: { deleted: id }, text: `Deleted group "${name}" (${id}).` };
  });
}
