import type { Log } from "../../platform/log.ts";
import type { Change } from "../store/port.ts";
import type { TunnelStore } from "../store/remembered.ts";
import type { AdmissionCode } from "./admission.ts";
import { TunnelError } from "./errors.ts";
import type { Instances } from "./instances.ts";
import type { BrokerTunnel } from "./tunnel.ts";

/** What announcements need of the broker. */
export interface AnnouncementsDeps {
  store: Pick<TunnelStore, "getConnector" | "getSettings" | "onChange">;
  /** The trust anchors that connectors are told of, PEM. */
  identities: { trustAnchors(): string };
  log: Log;
}

/** Tells connectors what they have not asked for: what the administrator has changed, whom to trust, that they must go. */
export class Announcements implements Disposable {
  readonly #deps: AnnouncementsDeps;
  readonly #instances: Instances<BrokerTunnel>;
  readonly #tunnels: () => Iterable<BrokerTunnel>;
  readonly #stopListening: () => void;
  /** Changed connectors that are being read, until their tunnels are as they say. */
  readonly #underWay = new Set<Promise<void>>();

  /** `tunnels`: all that are open. */
  constructor(
    deps: AnnouncementsDeps,
    instances: Instances<BrokerTunnel>,
    tunnels: () => Iterable<BrokerTunnel>,
  ) {
    this.#deps = deps;
    this.#instances = instances;
    this.#tunnels = tunnels;
    this.#stopListening = deps.store.onChange((change) => this.#changed(change));
  }

  /** Which authorities to trust from now on. */
  trust(tunnel: BrokerTunnel): void {
    tunnel.trustTold += 1;
    tunnel.control.notice("trust", { ca: this.#deps.identities.trustAnchors() });
  }

  /** What to log; whatever the administrator has said nothing about is their own matter. */
  async logLevel(tunnels: readonly BrokerTunnel[]): Promise<void> {
    const { logLevel: level, sessionLog: session } = (await this.#deps.store.getSettings()).given;
    if (level === undefined && session === undefined) return;
    const said = { ...(level === undefined ? {} : { level }), ...(session === undefined ? {} : { session }) };
    for (const { control } of tunnels) control.notice("log.level", said);
  }

  /** Their access has ended; so do the tunnels, once they were told. */
  revoked(tunnels: readonly BrokerTunnel[], code: AdmissionCode | "identity_shared"): void {
    for (const tunnel of tunnels) {
      tunnel.control.notice("revoked", { code });
      setImmediate(() =>
        tunnel.close(new TunnelError(code, "The administrator has ended this connector's access"))
      );
    }
  }

  /** Resolves when tunnels are in the groups that the store has told before this call, or about to end. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#underWay);
  }

  /** What changes is not told any more. */
  [Symbol.dispose](): void {
    this.#stopListening();
  }

  #changed(change: Change): void {
    switch (change.kind) {
      case "apps":
        for (const tunnel of this.#those(({ groupId }) => change.groupIds.includes(groupId))) {
          tunnel.control.notice("config.changed");
        }
        return;
      case "connector":
        return this.#connectorChanged(change.id, change.what);
      case "certificate":
        return this.revoked(
          this.#those(({ peer }) => peer.serial === change.serial),
          "certificate_revoked",
        );
      case "settings":
        this.#settingsChanged().catch((error: Error) =>
          this.#deps.log.warn("cannot tell connectors of changed settings", { error: error.message })
        );
        return;
      case "groups":
        return;
    }
  }

  #connectorChanged(id: string, what: "created" | "updated" | "deleted"): void {
    const affected = this.#those(({ connectorId }) => connectorId === id);
    if (affected.length === 0) return;
    if (what === "deleted") return this.revoked(affected, "connector_unknown");
    const change = this.#deps.store.getConnector(id).then(
      (record) => {
        if (!record.enabled) return this.revoked(affected, "connector_disabled");
        for (const tunnel of affected) tunnel.move(record.groupId);
      },
      () => this.revoked(affected, "connector_unknown"), // Not known to be allowed: not allowed.
    ).finally(() => this.#underWay.delete(change));
    this.#underWay.add(change);
  }

  async #settingsChanged(): Promise<void> {
    await this.logLevel([...this.#tunnels()]);
    const { settings } = await this.#deps.store.getSettings();
    if (settings.sharedIdentity === "refuse") {
      this.revoked(await this.#instances.unshare(), "identity_shared");
    }
  }

  #those(are: (tunnel: BrokerTunnel) => boolean): BrokerTunnel[] {
    return [...this.#tunnels()].filter(are);
  }
}
