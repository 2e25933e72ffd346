import type { Log } from "../../platform/log.ts";
import { parseTrustTakenNotice } from "../../protocol/certificates.ts";
import type { Fields } from "../../tunnel/control_channel.ts";
import type { Registry } from "../registry/registry.ts";
import type { RememberedStore } from "../store/remembered.ts";
import type { Instances } from "./instances.ts";
import type { LastSeen } from "./last_seen.ts";
import type { BrokerTunnel } from "./tunnel.ts";

/** What notices of connectors need of the broker. */
export interface ConnectorNoticesDeps {
  store: Pick<RememberedStore, "knownApps">;
  registry: Pick<Registry, "health">;
  log: Log;
}

/** Takes what connectors say unasked: of their backends, of the roots they trust, and that they are about to go. */
export class ConnectorNotices {
  readonly #deps: ConnectorNoticesDeps;
  readonly #instances: Instances<BrokerTunnel>;
  readonly #lastSeen: LastSeen;

  constructor(deps: ConnectorNoticesDeps, instances: Instances<BrokerTunnel>, lastSeen: LastSeen) {
    this.#deps = deps;
    this.#instances = instances;
    this.#lastSeen = lastSeen;
  }

  /** A notice came; unknown ones are ignored. */
  take(tunnel: BrokerTunnel, type: string, fields: Fields): void {
    switch (type) {
      case "backend.health":
        return this.#backendHealth(tunnel, fields);
      case "trust.taken":
        return this.#trustTaken(tunnel, fields);
      case "handover":
        return this.#instances.announced(tunnel, fields.instanceId);
      case "drain":
        return this.#drain(tunnel);
    }
  }

  /** No more will be said on a tunnel: what a process has said of its backends counts no longer than it is there. */
  left(tunnel: BrokerTunnel): void {
    if (this.#instances.left(tunnel)) this.#deps.registry.health.forget(tunnel.connectorId);
  }

  /** What a connector says of a backend of its group counts for that connector alone; all else is ignored. */
  #backendHealth(tunnel: BrokerTunnel, { appId, up }: Fields): void {
    if (typeof appId !== "string" || typeof up !== "boolean") return;
    if (!up && this.#deps.store.knownApps(tunnel.groupId)?.apps.has(appId) !== true) return;
    if (!tunnel.isReady) return; // Nothing is sent to it, and it may be about to leave for good.
    const { health } = this.#deps.registry;
    if (!health.reported(appId, tunnel.connectorId, up, performance.now())) return;
    this.#deps.log.info(up ? "backend is within reach again" : "backend is out of reach", {
      connector: tunnel.connectorId,
      app: appId,
    });
  }

  /** One answer to each announcement is written down; more would be work for nothing. */
  #trustTaken(tunnel: BrokerTunnel, fields: Fields): void {
    if (tunnel.trustTold === 0) return;
    tunnel.trustTold -= 1;
    this.#lastSeen.note(tunnel, { trustedRoots: parseTrustTakenNotice(fields).roots });
  }

  #drain(tunnel: BrokerTunnel): void {
    if (!tunnel.drain()) return;
    this.left(tunnel);
    this.#deps.log.info("connector is about to stop", { connector: tunnel.connectorId, busy: tunnel.busy });
  }
}
