import type { Log } from "../../platform/log.ts";
import { agreeOnRevision, type Hello, PROTOCOL_REVISION, type Welcome } from "../../protocol/messages.ts";
import { PROBE_CAPABILITY } from "../../protocol/probe.ts";
import type { Reply } from "../../tunnel/control_channel.ts";
import type { Registry } from "../registry/registry.ts";
import type { TunnelStore } from "../store/remembered.ts";
import { admissionCode, admit } from "./admission.ts";
import type { Announcements } from "./announcements.ts";
import type { Instances } from "./instances.ts";
import type { LastSeen } from "./last_seen.ts";
import type { BrokerTunnel } from "./tunnel.ts";

const CAPABILITIES: string[] = [PROBE_CAPABILITY];

/** What greetings need of the broker. */
export interface GreetingDeps {
  store: Pick<TunnelStore, "getConnector" | "findCertificate" | "getSettings">;
  registry: Pick<Registry, "health">;
  nodeId: string;
  softwareVersion: string;
  log: Log;
}

/** What greetings need of the node's other tunnels, and who learns of them. */
export interface GreetingParts {
  instances: Instances<BrokerTunnel>;
  announcements: Announcements;
  lastSeen: LastSeen;
  /** What a welcome says of how many tunnels there are. */
  reconnectWindow(): { reconnectWindowMs: number };
  /** A connector is served from now on. */
  greeted(tunnel: BrokerTunnel): void;
}

/** Welcomes connectors that say hello; exchanges may come from there on. */
export class Greeting {
  readonly #deps: GreetingDeps;
  readonly #parts: GreetingParts;

  constructor(deps: GreetingDeps, parts: GreetingParts) {
    this.#deps = deps;
    this.#parts = parts;
  }

  /** Answers a hello. Throws `TunnelError`, `ProtocolError`; a connector that may have no tunnel any more is told so and loses it. */
  async welcome(tunnel: BrokerTunnel, hello: Hello, reply: Reply): Promise<void> {
    const { nodeId, softwareVersion, store, log } = this.#deps;
    const { instances, announcements, lastSeen } = this.#parts;
    const revision = agreeOnRevision(hello);
    // Read again: from here on a change of the connector reaches this tunnel by notice, none is missed between.
    try {
      const { groupId } = await admit(store, tunnel.peer);
      tunnel.move(groupId);
    } catch (error) {
      const code = admissionCode(error);
      if (code === null) throw error;
      return announcements.revoked([tunnel], code);
    }
    const { settings } = await store.getSettings();
    const isNew = await instances.enter(tunnel, hello.instanceId, settings.sharedIdentity);
    if (isNew) this.#deps.registry.health.forget(tunnel.connectorId); // It says itself what it cannot reach.
    const welcome: Welcome = {
      revision,
      capabilities: CAPABILITIES.filter((name) => hello.capabilities.includes(name)),
      nodeId,
      nodes: [],
      softwareVersion,
      connectorId: tunnel.connectorId,
    };
    await reply({ ...welcome, ...this.#parts.reconnectWindow() });
    tunnel.greet(hello);
    this.#parts.greeted(tunnel);
    announcements.trust(tunnel);
    await announcements.logLevel([tunnel]);
    lastSeen.note(tunnel);
    log.info("tunnel ready", {
      connector: tunnel.connectorId,
      group: tunnel.groupId,
      machineName: hello.machineName,
      externalIp: tunnel.peer.externalIp,
      version: hello.softwareVersion,
      protocol: Math.min(revision, PROTOCOL_REVISION),
    });
  }
}
