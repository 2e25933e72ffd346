import { hostname } from "node:os";
import type { Log } from "../platform/log.ts";
import { parseListenAddress } from "../platform/listen_address.ts";
import { formatHostPort } from "../protocol/address.ts";
import type { BrokerConfiguration } from "./config.ts";
import type { Acceptor } from "./listener/acceptor.ts";
import type { CidrList } from "./listener/address.ts";
import type { ConnectionTarget } from "./listener/handlers.ts";
import { createOnePort } from "./listener/one_port.ts";
import { createPlain } from "./listener/plain.ts";
import type { DataPlaneCounters } from "./metrics/counters.ts";
import type { UserSide } from "./user_side.ts";

/** What the broker's ports lead to, and how they listen. */
export interface PortsParts {
  config: BrokerConfiguration;
  users: UserSide;
  /** Takes connections to the tunnel name. */
  connectors: ConnectionTarget;
  /** Sockets that the service manager has handed over, by the name of their port. */
  inherited: ReadonlyMap<string, number>;
  /** Whose PROXY protocol header is believed, where the configuration switches it on. */
  trustedProxies: CidrList;
  counters: DataPlaneCounters;
  log: Log;
}

/** Ports that the configuration asks for: with TLS, for all or for connectors alone, and without. */
export interface Ports {
  public?: Acceptor;
  tunnel?: Acceptor;
  plain?: Acceptor;
}

/** Where something listens. */
export type Listening = Record<string, { address: string; port: number }>;

/** Makes the ports; none listens yet. Which TLS server a connection belongs to, the name in its hello says. */
export function createPorts(
  { config, users, connectors, inherited, trustedProxies, counters, log }: PortsParts,
): Ports {
  const { publicTls, onEnded } = users;
  const ownTunnelPort = config.tunnelListen !== "";
  const publicTarget = (name: string | undefined): ConnectionTarget | undefined => {
    if (name !== config.tunnelName) return publicTls;
    return ownTunnelPort ? undefined : connectors;
  };
  const tunnelTarget = (name: string | undefined): ConnectionTarget | undefined => {
    if (name === config.tunnelName) return connectors;
    return name === config.enrolName ? publicTls : undefined;
  };
  const onAccepted = (): void => void (counters.ingressConnections += 1);
  const listenAt = (name: string, text: string) => {
    const { host, port } = parseListenAddress(text)!; // Checked with the configuration.
    return {
      address: host,
      port,
      log,
      descriptor: inherited.get(name),
      frontTimeoutMs: config.helloTimeoutMs,
      onEnded,
      onAccepted,
    };
  };
  const ingressProxy = config.proxyProtocolIngress ? trustedProxies : undefined;
  const tunnelProxy = config.proxyProtocolTunnel ? trustedProxies : undefined;
  const ports: Ports = {};
  if (config.publicListen !== "") {
    ports.public = createOnePort({
      ...listenAt("public", config.publicListen),
      proxyProtocol: ingressProxy,
      targetOf: (hello) => publicTarget(hello.serverName),
    });
  }
  if (ownTunnelPort) {
    ports.tunnel = createOnePort({
      ...listenAt("tunnel", config.tunnelListen),
      proxyProtocol: tunnelProxy,
      targetOf: (hello) => tunnelTarget(hello.serverName),
    });
  }
  if (config.plainListen !== "") {
    ports.plain = createPlain({
      ...listenAt("plain", config.plainListen),
      proxyProtocol: ingressProxy,
      ...users.plain,
    });
  }
  return ports;
}

/** Begins to listen, in the order of the ports. Rejects with `ListenerError` `listen_failed`. */
export async function listen(ports: Ports): Promise<Listening> {
  const listening: Listening = {};
  for (const [name, port] of Object.entries(ports) as [string, Acceptor][]) {
    listening[name] = await port.listen();
  }
  return listening;
}

/** The address by which connectors reach these ports, as well as one can tell without being told. */
export function connectorAddress(listening: Listening): string {
  const { address, port } = listening.tunnel ?? listening.public!;
  const host = address === "::" || address === "0.0.0.0" ? hostname() : address;
  return formatHostPort({ host, port });
}
