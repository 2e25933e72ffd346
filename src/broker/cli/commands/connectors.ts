import type { Command } from "commander";
import type { CertificateAnswer } from "../../admin/schemas/certificate.ts";
import type { ConnectorAnswer } from "../../admin/schemas/connector.ts";
import type { AdminClient } from "../admin_client.ts";
import { addClientCommand, addCommand } from "../command.ts";
import type { CliContext } from "../context.ts";
import { lookup } from "../lookup.ts";
import { facts, table, when } from "../table.ts";
import { findGroup } from "./groups.ts";

/** The connector with this id or machine name. */
export const findConnector = (client: AdminClient, reference: string): Promise<ConnectorAnswer> =>
  lookup<ConnectorAnswer>(client, "connectors", reference, ({ machineName }) => machineName);

/** `connector ...` */
export function addConnectorCommands(program: Command, context: CliContext): void {
  const connector = addCommand(program, {
    usage: "connector",
    about: "hosts on the private side",
    example: "sallyport-broker connector show dmz-1",
  });

  addClientCommand<{ group?: string }>(connector, context, {
    usage: "list",
    about: "list connectors",
    example: "sallyport-broker connector list",
  }, async (client, { group }) => {
    const filter = group === undefined ? "" : `?groupId=${(await findGroup(client, group)).id}`;
    const connectors = await client.list<ConnectorAnswer>(`connectors${filter}`);
    const rows = connectors.map((c) => [
      c.id,
      c.machineName,
      c.memberOf.name,
      c.status,
      c.tunnels.length,
      c.version,
      c.externalIp,
      when(c.lastSeenAt),
    ]);
    const head = ["ID", "MACHINE", "GROUP", "STATUS", "TUNNELS", "VERSION", "EXTERNAL IP", "LAST SEEN"];
    return { json: connectors, text: table(head, rows, "No connector. Next: sallyport-broker token create") };
  }).option("--group <group>", "only those of this group");

  addClientCommand(connector, context, {
    usage: "show <connector>",
    about: "show a connector, given by id or machine name",
    example: "sallyport-broker connector show dmz-1",
  }, async (client, _options, reference) => {
    const found = await findConnector(client, reference!);
    return { json: found, text: describe(found) };
  });

  addClientCommand<{ group: string }>(connector, context, {
    usage: "move <connector>",
    about: "move a connector to another group",
    example: "sallyport-broker connector move dmz-1 --group Berlin",
  }, async (client, { group }, reference) => {
    const target = await findGroup(client, group);
    const { id } = await findConnector(client, reference!);
    const moved = await client.patch<ConnectorAnswer>(`connectors/${id}`, { groupId: target.id });
    return { json: moved, text: `Moved connector "${moved.machineName}" to group "${target.name}".` };
  }).requiredOption("--group <group>", "the group to move to");

  for (const [verb, enabled, effect] of SWITCHES) {
    addClientCommand(connector, context, {
      usage: `${verb} <connector>`,
      about: `${verb} a connector: ${effect}`,
      example: `sallyport-broker connector ${verb} dmz-1`,
    }, async (client, _options, reference) => {
      const { id } = await findConnector(client, reference!);
      const changed = await client.patch<ConnectorAnswer>(`connectors/${id}`, { enabled });
      const text = [`Connector "${changed.machineName}" is ${verb}d: ${effect}.`];
      if (enabled && !changed.connected) {
        text.push("It tries every five minutes or so; to have it back at once, start it again there.");
      }
      return { json: changed, text: text.join("\n") };
    });
  }

  addClientCommand(connector, context, {
    usage: "delete <connector>",
    about: "delete a connector: to come back it has to enrol again",
    example: "sallyport-broker connector delete dmz-1",
  }, async (client, _options, reference) => {
    const { id, machineName } = await findConnector(client, reference!);
    await client.delete(`connectors/${id}`);
    return { json: { deleted: id }, text: `Deleted connector "${machineName}" (${id}).` };
  });

  addClientCommand<{ connector?: string; revoked?: boolean }>(connector, context, {
    usage: "certificates",
    about: "list the certificates issued to connectors",
    example: "sallyport-broker connector certificates --connector dmz-1",
  }, async (client, { connector, revoked }) => {
    const query = new URLSearchParams();
    if (connector !== undefined) query.set("connectorId", (await findConnector(client, connector)).id);
    if (revoked === true) query.set("revoked", "true");
    const certificates = await client.list<CertificateAnswer>(`certificates?${query}`);
    const rows = certificates.map((c) => [
      c.serial,
      c.connectorId,
      when(c.issuedAt),
      when(c.notAfter),
      when(c.usedAt),
      when(c.revokedAt),
      c.revocationReason,
    ]);
    const head = ["SERIAL", "CONNECTOR", "ISSUED", "VALID UNTIL", "FIRST USED", "REVOKED", "REASON"];
    return { json: certificates, text: table(head, rows, "No certificate.") };
  })
    .option("--connector <connector>", "only those of this connector, by id or machine name")
    .option("--revoked", "only those that are revoked");

  addClientCommand<{ reason?: string }>(connector, context, {
    usage: "revoke-certificate <serial>",
    about: "revoke one certificate: its tunnels end; others of its connector stay good",
    example: 'sallyport-broker connector revoke-certificate 4f0c... --reason "key was copied"',
  }, async (client, { reason }, serial) => {
    const query = reason === undefined ? "" : `?${new URLSearchParams({ reason })}`;
    const path = `certificates/${encodeURIComponent(serial!.toLowerCase())}${query}`;
    const revoked = await client.delete<CertificateAnswer>(path);
    return {
      json: revoked,
      text: `Revoked certificate ${serial} of connector ${revoked?.connectorId}. To let that host back in: ` +
        `sallyport-broker token create --connector ${revoked?.connectorId}`,
    };
  }).option("--reason <text>", "why, for the list and the audit");
}

const SWITCHES = [
  ["disable", false, "its tunnels end and it may not connect"],
  ["enable", true, "it may connect again"],
] as const;

function describe(c: ConnectorAnswer): string {
  const head = facts([
    ["id", c.id],
    ["machine", c.machineName],
    ["system", c.os],
    ["group", c.memberOf.name],
    ["status", c.status],
    ["version", c.version],
    ["desired version", c.desiredVersion],
    ["latest version", c.latestVersion],
    ["external IP", c.externalIp],
    ["last seen", when(c.lastSeenAt)],
    ["instances", c.instances > 1 ? `${c.instances}: its identity is used twice` : c.instances],
    ["certificate", c.certificate?.serial],
    ["valid until", when(c.certificate?.notAfter ?? null)],
    ["revoked", when(c.certificate?.revokedAt ?? null)],
  ]);
  const rows = c.tunnels.map((t) => [
    t.instanceId,
    t.state,
    when(t.connectedAt),
    t.rttMs === null ? null : `${Math.round(t.rttMs * 10) / 10} ms`,
    t.lanesIdle,
    t.lanesBusy,
    t.exchanges,
    t.bytesIn,
    t.bytesOut,
  ]);
  const columns = [
    "TUNNEL",
    "STATE",
    "SINCE",
    "ROUND TRIP",
    "IDLE",
    "BUSY",
    "EXCHANGES",
    "BYTES IN",
    "BYTES OUT",
  ];
  return `${head}\n\n${table(columns, rows, "No tunnel.")}`;
}
