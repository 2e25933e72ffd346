import type { ConnectorApp } from "./app.ts";
import { ProtocolError } from "./errors.ts";
import { count, flag, isCount, isRecord, list, refuse, text, texts } from "./fields.ts";
import { FRAME } from "./frame.ts";
import { FRAME_HEADER_BYTES, MAX_MESSAGE_BYTES } from "./limits.ts";
import { packFrame, unpack } from "./message_pack.ts";
import { parseApp } from "./parse_app.ts";

/** Newest protocol revision that this software speaks, and the oldest that it still serves. */
export const PROTOCOL_REVISION = 1;
export const OLDEST_PROTOCOL_REVISION = 1;

/**
 * A control message. With `id` and a type other than `reply` or `error` it is a request and is answered with one or
 * more messages of the same id, all but the last with `more: true`; without `id` it is a notice.
 */
export interface ControlMessage {
  id?: number;
  type: string;
  [field: string]: unknown;
}

/** First request on a control stream, connector to broker. */
export interface Hello {
  revision: number;
  oldestRevision: number;
  capabilities: string[];
  softwareVersion: string;
  machineName: string;
  os: string;
  /** Random, one per process start. */
  instanceId: string;
}

/** Answer to `hello`. */
export interface Welcome {
  /** Revision that both will speak. */
  revision: number;
  capabilities: string[];
  nodeId: string;
  /** Addresses (`host:port`) of all nodes to reach, this one included; empty: just the one that was dialled. */
  nodes: string[];
  softwareVersion: string;
  connectorId: string;
}

/** One part of the answer to `config.pull`; applied when the last has come. */
export interface ConfigPart {
  groupId: string;
  revision: number;
  /** True: `apps` of all parts together replace everything known. */
  full: boolean;
  apps: ConnectorApp[];
  removedIds: string[];
}

/** Answer to `version.poll`. Empty strings mean "not known" and "whatever it has". */
export interface VersionAnswer {
  latest: string;
  desired: string;
}

/** A control message as a frame. Throws `ProtocolError` when it is over the limit, before a byte is sent. */
export function encodeMessage(message: ControlMessage): Buffer {
  const frame = packFrame(FRAME.message, 0, message);
  if (frame.length - FRAME_HEADER_BYTES > MAX_MESSAGE_BYTES) {
    throw new ProtocolError(
      `Cannot send message "${message.type}": ${frame.length} bytes, the limit is ${MAX_MESSAGE_BYTES}`,
      "protocol_too_large",
    );
  }
  return frame;
}

/** Reads the payload of a message frame. */
export function parseMessage(payload: Buffer): ControlMessage {
  const value = unpack(payload);
  if (!isRecord(value) || typeof value.type !== "string") refuse("message: no type");
  if (value.id !== undefined && !isCount(value.id)) refuse("message: id is not a count");
  return value as ControlMessage;
}

/** Reads the fields of `hello`. */
export function parseHello(value: Record<string, unknown>): Hello {
  return {
    revision: count(value, "revision"),
    oldestRevision: count(value, "oldestRevision"),
    capabilities: texts(value, "capabilities"),
    softwareVersion: text(value, "softwareVersion", 64),
    machineName: text(value, "machineName", 255),
    os: text(value, "os", 255),
    instanceId: text(value, "instanceId", 64),
  };
}

/** Reads the answer to `hello`. Throws `protocol_unsupported` where the broker chose a revision that was not offered. */
export function parseWelcome(value: Record<string, unknown>): Welcome {
  const revision = count(value, "revision");
  if (revision < OLDEST_PROTOCOL_REVISION || revision > PROTOCOL_REVISION) {
    throw new ProtocolError(
      `Cannot speak protocol revision ${revision}: we speak ${OLDEST_PROTOCOL_REVISION} to ${PROTOCOL_REVISION}`,
      "protocol_unsupported",
    );
  }
  return {
    revision,
    capabilities: texts(value, "capabilities"),
    nodeId: text(value, "nodeId", 64),
    nodes: texts(value, "nodes"),
    softwareVersion: text(value, "softwareVersion", 64),
    connectorId: text(value, "connectorId", 64),
  };
}

/** The revision that both sides speak: the newest in common. */
export function agreeOnRevision(hello: Pick<Hello, "revision" | "oldestRevision">): number {
  const revision = Math.min(hello.revision, PROTOCOL_REVISION);
  if (revision < hello.oldestRevision || revision < OLDEST_PROTOCOL_REVISION) {
    throw new ProtocolError(
      `Cannot agree on a protocol revision: peer speaks ${hello.oldestRevision} to ${hello.revision}, ` +
        `we speak ${OLDEST_PROTOCOL_REVISION} to ${PROTOCOL_REVISION}`,
      "protocol_unsupported",
    );
  }
  return revision;
}

/** Reads one part of a configuration. */
export function parseConfigPart(value: Record<string, unknown>): ConfigPart {
  const apps = list(value, "apps").map(parseApp);
  return {
    groupId: text(value, "groupId", 64),
    revision: count(value, "revision"),
    full: flag(value, "full"),
    apps,
    removedIds: texts(value, "removedIds"),
  };
}

/** Reads the answer to `version.poll`. */
export function parseVersionAnswer(value: Record<string, unknown>): VersionAnswer {
  return { latest: text(value, "latest", 64), desired: text(value, "desired", 64) };
}
