import { z } from "@hono/zod-openapi";
import {
  type ConnectorRecord,
  type Group,
  type Settings,
  type Timestamp,
  TUNNEL_STATES,
} from "../../model.ts";
import type { LiveTunnel } from "../live.ts";
import { idText, moment, recordShape, toMoment, toMomentOrNull, toRecord } from "./record.ts";

const status = z.enum(["active", "inactive", "pending", "disabled", "revoked"]).openapi({
  description:
    "active: has a tunnel, or had one lately (inactiveAfterMs); inactive: has had none for longer; pending: enrolled, " +
    "never connected; disabled: an administrator has shut it out; revoked: has no tunnel, and its certificate was revoked.",
});

/** A tunnel as the API shows it. */
export const tunnelSchema = z.object({
  instanceId: z.string().openapi({ description: "Random id of the connector's process." }),
  state: z.enum(TUNNEL_STATES).openapi({
    description:
      "ready: it serves; stuck: open, but exchanges do not get through it, so it is given none; draining: what " +
      "has begun on it goes on, and nothing new begins; greeting: its connector has not introduced itself yet.",
  }),
  externalIp: z.string(),
  connectedAt: moment,
  version: z.string(),
  configRevision: z.number().int(),
  lanesIdle: z.number().int(),
  lanesBusy: z.number().int(),
  exchanges: z.number().int(),
  bytesIn: z.number(),
  bytesOut: z.number(),
  rttMs: z.number().nullable(),
}).openapi("Tunnel");

/** A connector as the API shows it: what is stored, and what is true now. */
export const connectorSchema = z.object({
  ...recordShape,
  machineName: z.string(),
  os: z.string(),
  externalIp: z.string(),
  status,
  enabled: z.boolean(),
  connected: z.boolean().openapi({ description: "Whether it has a tunnel at this moment." }),
  version: z.string().openapi({ description: "Version of its software." }),
  latestVersion: z.string().nullable(),
  desiredVersion: z.string().nullable().openapi({ description: "What the administrator wants it to run." }),
  memberOf: z.object({ id: z.string(), name: z.string() }).openapi({ description: "Its group." }),
  lastSeenAt: moment.nullable(),
  connectedAt: moment.nullable().openapi({ description: "Start of its oldest tunnel." }),
  certificate: z.object({ serial: z.string(), notAfter: moment, revokedAt: moment.nullable() }).nullable(),
  instances: z.number().int().openapi({
    description: "Processes that have tunnels with this identity now; more than one: its key is used twice.",
  }),
  appsOutOfReach: z.array(z.string()).openapi({
    description:
      "Ids of apps whose backends it cannot reach now; another connector is chosen for them if there is one.",
  }),
  tunnels: z.array(tunnelSchema),
}).openapi("Connector");

/** What changes a connector. */
export const connectorPatch = z.strictObject({
  groupId: idText.openapi({ description: "Group to move it to." }),
  enabled: z.boolean().openapi({ description: "false ends its tunnels and shuts it out." }),
}).partial().openapi("ConnectorPatch");

/** What a connector's answer is made of. */
export interface ConnectorFacts {
  connector: ConnectorRecord;
  group: Pick<Group, "id" | "name">;
  /** When its newest certificate was revoked; null: it was not. */
  revokedAt: Timestamp | null;
  tunnels: readonly LiveTunnel[];
  appsOutOfReach: readonly string[];
  settings: Settings;
  now: Timestamp;
  /** Milliseconds without a tunnel after which it counts as inactive. */
  inactiveAfterMs: number;
}

/** Writes a connector. */
export function toConnector(facts: ConnectorFacts): z.infer<typeof connectorSchema> {
  const { connector, group, tunnels, settings, now } = facts;
  const newest = tunnels.at(-1);
  return {
    ...toRecord(connector),
    machineName: connector.machineName,
    os: connector.os,
    externalIp: newest?.externalIp ?? connector.externalIp,
    status: statusOf(facts),
    enabled: connector.enabled,
    connected: newest !== undefined,
    version: newest?.softwareVersion ?? connector.softwareVersion,
    latestVersion: settings.latestVersion === "" ? null : settings.latestVersion,
    desiredVersion: settings.desiredConnectorVersion === "" ? null : settings.desiredConnectorVersion,
    memberOf: { id: group.id, name: group.name },
    lastSeenAt: newest === undefined ? toMomentOrNull(connector.lastSeenAt) : toMoment(now),
    connectedAt: tunnels.length === 0 ? null : toMoment(Math.min(...tunnels.map((t) => t.connectedAt))),
    certificate: connector.certificateSerial === "" ? null : {
      serial: connector.certificateSerial,
      notAfter: toMoment(connector.certificateNotAfter),
      revokedAt: toMomentOrNull(facts.revokedAt),
    },
    instances: new Set(tunnels.map(({ instanceId }) => instanceId).filter((id) => id !== "")).size,
    appsOutOfReach: [...facts.appsOutOfReach],
    tunnels: tunnels.map(toTunnel),
  };
}

function statusOf(
  { connector, tunnels, revokedAt, now, inactiveAfterMs }: ConnectorFacts,
): z.infer<typeof status> {
  if (!connector.enabled) return "disabled";
  if (tunnels.length > 0) return "active";
  if (revokedAt !== null) return "revoked";
  if (connector.lastSeenAt === null) return "pending";
  return now - connector.lastSeenAt < inactiveAfterMs ? "active" : "inactive";
}

function toTunnel(tunnel: LiveTunnel): z.infer<typeof tunnelSchema> {
  const { softwareVersion, connectedAt, ...rest } = tunnel;
  return { ...rest, version: softwareVersion, connectedAt: toMoment(connectedAt) };
}

/** A connector in answers. */
export type ConnectorAnswer = z.infer<typeof connectorSchema>;
