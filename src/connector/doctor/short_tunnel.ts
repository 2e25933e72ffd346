import { randomUUID } from "node:crypto";
import { hostname, release, type } from "node:os";
import { VERSION } from "../../platform/version.ts";
import type { ConnectorApp } from "../../protocol/app.ts";
import { OLDEST_PROTOCOL_REVISION, PROTOCOL_REVISION } from "../../protocol/messages.ts";
import { ControlChannel } from "../../tunnel/control_channel.ts";
import { dialTunnel } from "../dial.ts";
import { KnownApps } from "../known_apps.ts";
import type { BrokerWay } from "./broker_checks.ts";

const HELLO_TIMEOUT_MS = 10_000;

/**
 * Opens a tunnel that serves nothing, for as long as it takes to be greeted and to learn the apps: only while no connector
 * runs with this identity. Throws `DialError`, `ControlError`.
 */
export async function pullApps({ identity, proxyFor, stepMs, signal }: BrokerWay): Promise<ConnectorApp[]> {
  const { address, tunnelName, ca, certificate, key } = identity;
  const target = { address, tunnelName, ca, certificate, key: key.reveal(), proxyFor };
  const { session, control: stream } = await dialTunnel(target, stepMs, signal);
  session.on("error", () => {});
  const control = new ControlChannel(stream, {
    request: () => Promise.resolve("unsupported" as const),
    notice: () => {},
    received: () => {},
    closed: () => {},
  });
  try {
    await control.request("hello", {
      revision: PROTOCOL_REVISION,
      oldestRevision: OLDEST_PROTOCOL_REVISION,
      capabilities: [],
      softwareVersion: VERSION,
      machineName: hostname(),
      os: `${type()} ${release()}`,
      instanceId: randomUUID(),
    }, HELLO_TIMEOUT_MS);
    const apps = new KnownApps();
    await apps.pull(control);
    return [...apps.all()];
  } finally {
    setImmediate(() => session.destroy());
  }
}
