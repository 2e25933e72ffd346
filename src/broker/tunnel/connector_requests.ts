import { parseRenewalRequest } from "../../protocol/certificates.ts";
import { ProtocolError } from "../../protocol/errors.ts";
import { parseHello } from "../../protocol/messages.ts";
import type { Fields, Reply } from "../../tunnel/control_channel.ts";
import type { DataPlaneCounters } from "../metrics/counters.ts";
import type { RememberedStore } from "../store/remembered.ts";
import { answerPull } from "./config_answers.ts";
import type { ConnectorWork } from "./connector_work.ts";
import { TunnelError } from "./errors.ts";
import type { Greeting } from "./greeting.ts";
import type { BrokerTunnel } from "./tunnel.ts";

/** What answers to connectors need of the broker. */
export interface ConnectorRequestsDeps {
  store: Pick<RememberedStore, "appChanges" | "getSettings" | "knownApps">;
  counters: DataPlaneCounters;
  /** A new certificate for a connector, PEM. */
  identities: { renew(connectorId: string, csr: string, serial: string): Promise<string> };
}

/** Answers what connectors ask. One that asks for more than a connector needs, or says hello again, loses its tunnel. */
export class ConnectorRequests {
  readonly #deps: ConnectorRequestsDeps;
  readonly #work: ConnectorWork;
  readonly #greeting: Greeting;
  /** Tunnels that have said hello, whatever was answered. */
  readonly #helloSaid = new WeakSet<BrokerTunnel>();

  constructor(deps: ConnectorRequestsDeps, work: ConnectorWork, greeting: Greeting) {
    this.#deps = deps;
    this.#work = work;
    this.#greeting = greeting;
  }

  /** A request came; see `ControlHandler`. */
  async answer(
    tunnel: BrokerTunnel,
    type: string,
    fields: Fields,
    reply: Reply,
  ): Promise<void | "unsupported"> {
    try {
      this.#expect(tunnel, type);
    } catch (error) {
      return tunnel.close(error as Error);
    }
    if (type !== "hello" && tunnel.hello === null) {
      throw new TunnelError("tunnel_unknown", `Cannot answer "${type}": no hello was said`);
    }
    switch (type) {
      case "hello":
        return await this.#greeting.welcome(tunnel, parseHello(fields), reply);
      case "config.pull":
        return await this.#pull(tunnel, fields, reply);
      case "version.poll": {
        const { settings } = await this.#deps.store.getSettings();
        return await reply({ latest: settings.latestVersion, desired: settings.desiredConnectorVersion });
      }
      case "certificate.renew": {
        const { csr } = parseRenewalRequest(fields);
        const certificate = await this.#deps.identities.renew(tunnel.connectorId, csr, tunnel.peer.serial);
        return await reply({ certificate });
      }
      default:
        return "unsupported";
    }
  }

  /** Throws what ends the tunnel: a second hello, or more questions than a connector has. */
  #expect(tunnel: BrokerTunnel, type: string): void {
    if (type === "hello") {
      if (this.#helloSaid.has(tunnel)) throw new ProtocolError("Cannot accept hello: it was said already");
      this.#helloSaid.add(tunnel);
    }
    this.#work.request(tunnel.connectorId, type);
  }

  async #pull(tunnel: BrokerTunnel, fields: Fields, reply: Reply): Promise<void> {
    const { groupId } = tunnel;
    const since = fields.groupId === groupId && typeof fields.since === "number" ? fields.since : 0;
    try {
      this.#work.apps(tunnel.connectorId, this.#changesSince(groupId, since));
    } catch (error) {
      return tunnel.close(error as Error);
    }
    const changes = await this.#deps.store.appChanges(groupId, since);
    this.#deps.counters.configPulls += 1;
    tunnel.configRevision = changes.revision;
    await answerPull(groupId, since, changes, reply);
  }

  /** About how many apps of a group have changed, as far as that is known here without asking the store. */
  #changesSince(groupId: string, since: number): number {
    const known = this.#deps.store.knownApps(groupId);
    if (known === undefined) return 0;
    return since === 0 ? known.apps.size : Math.min(known.apps.size, Math.max(0, known.revision - since));
  }
}
