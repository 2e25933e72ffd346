import type { Command } from "commander";
import type { EnrolmentTokenAnswer, NewEnrolmentTokenAnswer } from "../../admin/schemas/token.ts";
import { addClientCommand, addCommand, collect, durationSeconds, wholeNumber } from "../command.ts";
import type { CliContext } from "../context.ts";
import { UsageError } from "../errors.ts";
import { table, when } from "../table.ts";
import { findConnector } from "./connectors.ts";
import { findGroup } from "./groups.ts";

interface ChangeOptions {
  uses?: number;
  ttl?: number;
  description?: string;
  machineName?: string;
  network?: string[];
}

interface CreateOptions extends ChangeOptions {
  group?: string;
  connector?: string;
}

/** `token ...` */
export function addTokenCommands(program: Command, context: CliContext): void {
  const token = addCommand(program, {
    usage: "token",
    about: "permissions to enrol a connector",
    example: "sallyport-broker token create --group Berlin --uses 2 --ttl 24h > token.txt",
  });

  addClientCommand<CreateOptions>(token, context, {
    usage: "create",
    about: "create an enrolment token; it is shown once",
    example: "sallyport-broker token create --group Berlin --uses 2 --ttl 24h > token.txt",
  }, async (client, { group, uses, ttl, description, machineName, network, connector }) => {
    if (group !== undefined && connector !== undefined) {
      throw new UsageError(
        "usage_invalid",
        "Cannot use --group with --connector: the connector keeps its group; leave --group out, " +
          "and change the group with: connector move",
      );
    }
    const bound = connector === undefined ? undefined : await findConnector(client, connector);
    const made = await client.post<NewEnrolmentTokenAnswer>("enrolment-tokens", {
      groupId: group === undefined ? undefined : (await findGroup(client, group)).id,
      maxUses: uses,
      ttlSeconds: ttl,
      description,
      machineName,
      networks: network,
      connectorId: bound?.id,
    });
    const before = `Created enrolment token ${made.id}: ${made.maxUses} use(s), until ${
      when(made.expiresAt)
    }. It is shown only now:\n`;
    const after = [
      "",
      "Next, on the connector's host (paste the token, then Enter and Ctrl-D; or keep it in a file):",
      `  sallyport-connector register --token-file -${bound === undefined ? "" : " --force"}`,
      "  sallyport-connector run",
    ].join("\n");
    return { json: made, text: made.token, around: { before, after } };
  })
    .option("--group <group>", "group that a new connector joins (default: Default); not with --connector")
    .option("--uses <number>", "how many connectors may use it (default: 1)", wholeNumber("--uses"))
    .option("--ttl <duration>", "how long it can be used, e.g. 30m, 24h, 7d (default: 24h)", durationSeconds)
    .option("--machine-name <name>", "the only machine that may use it, by the name it registers with")
    .option("--network <cidr>", "network that it may be used from; can be given several times", collect)
    .option(
      "--connector <connector>",
      "a connector, by id or machine name, that is to register again and keep id and group",
    )
    .option("--description <text>", "a note for administrators");

  addClientCommand(token, context, {
    usage: "list",
    about: "list enrolment tokens",
    example: "sallyport-broker token list",
  }, async (client) => {
    const tokens = await client.list<EnrolmentTokenAnswer>("enrolment-tokens");
    return { json: tokens, text: tokenTable(tokens) };
  });

  addClientCommand<ChangeOptions>(token, context, {
    usage: "set <id>",
    about: "change an enrolment token: what is not named stays; one that is revoked stays as it is",
    example: "sallyport-broker token set TOKEN_ID --uses 10 --ttl 7d",
  }, async (client, { uses, ttl, description, machineName, network }, id) => {
    const patch = {
      maxUses: uses,
      ttlSeconds: ttl,
      description,
      machineName: machineName === "-" ? null : machineName,
      networks: network?.length === 1 && network[0] === "-" ? [] : network,
    };
    if (Object.values(patch).every((value) => value === undefined)) {
      throw new UsageError("usage_invalid", "Cannot change the token: nothing to change was given");
    }
    const changed = await client.patch<EnrolmentTokenAnswer>(
      `enrolment-tokens/${encodeURIComponent(id!)}`,
      patch,
    );
    return { json: changed, text: `Changed enrolment token ${changed.id}.\n${tokenTable([changed])}` };
  })
    .option(
      "--uses <number>",
      "how many connectors may use it in all, with those that have",
      wholeNumber("--uses"),
    )
    .option("--ttl <duration>", "how long it can be used from now on, e.g. 30m, 24h, 7d", durationSeconds)
    .option("--machine-name <name>", "the only machine that may use it; -: any")
    .option(
      "--network <cidr>",
      "network that it may be used from; can be given several times; -: any",
      collect,
    )
    .option("--description <text>", "a note for administrators");

  addClientCommand(token, context, {
    usage: "revoke <id>",
    about: "revoke an enrolment token; connectors that used it stay",
    example: "sallyport-broker token revoke TOKEN_ID",
  }, async (client, _options, id) => {
    const revoked = await client.delete<EnrolmentTokenAnswer>(`enrolment-tokens/${encodeURIComponent(id!)}`);
    return { json: revoked, text: `Revoked enrolment token ${id}.` };
  });
}

function tokenTable(tokens: readonly EnrolmentTokenAnswer[]): string {
  const rows = tokens.map((t) => [
    t.id,
    t.status,
    t.groupId,
    `${t.uses}/${t.maxUses}`,
    when(t.expiresAt),
    boundsOf(t),
    t.description,
  ]);
  const head = ["ID", "STATUS", "GROUP ID", "USES", "EXPIRES", "ONLY FOR", "DESCRIPTION"];
  return table(head, rows, "No token. Next: sallyport-broker token create");
}

/** What a token is limited to beside its group. */
function boundsOf({ connectorId, machineName, networks }: EnrolmentTokenAnswer): string {
  return [connectorId === null ? null : `connector ${connectorId}`, machineName, ...networks]
    .filter((bound) => bound !== null).join(", ");
}
