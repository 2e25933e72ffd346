import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import { parseRenewalRequest, parseTrustTakenNotice } from "../../protocol/certificates.ts";
import { ProtocolError } from "../../protocol/errors.ts";
import {
  agreeOnRevision,
  type Hello,
  parseHello,
  PROTOCOL_REVISION,
  type Welcome,
} from "../../protocol/messages.ts";
import { PROBE_CAPABILITY } from "../../protocol/probe.ts";
import type { Fields, Reply } from "../../tunnel/control_channel.ts";
import type { Settings } from "../model.ts";
import type { Change } from "../store/port.ts";
import type { RememberedStore, TunnelStore } from "../store/remembered.ts";
import { type AdmissionCode, admissionCode, admit } from "./admission.ts";
import { answerPull } from "./config_answers.ts";
import { ConnectorWork } from "./connector_work.ts";
import { TunnelError } from "./errors.ts";
import { Instances } from "./instances.ts";
import { ReconnectWindow } from "./reconnect_window.ts";
import { BrokerTunnel, type TunnelDeps, type TunnelPeer } from "./tunnel.ts";

/** What all tunnels of this node need. */
export interface TunnelsDeps extends TunnelDeps {
  store: TunnelStore & Pick<RememberedStore, "knownApps">;
  nodeId: string;
  softwareVersion: string;
  /** A connector is served from now on. */
  onGreeted?: (session: ServerHttp2Session) => void;
  /** The authority's part: new certificates for connectors, and the trust anchors that they are told of. PEM. */
  identities: {
    renew(connectorId: string, csr: string, serial: string): Promise<string>;
    trustAnchors(): string;
  };
}

const CAPABILITIES: string[] = [PROBE_CAPABILITY];
/** How often the health of all tunnels is looked at, milliseconds. */
const HEALTH_CHECK_MS = 250;
/** All tunnels of this node: opens them, answers their questions, and tells them what has changed. */
export class Tunnels implements Disposable {
  readonly #deps: TunnelsDeps;
  readonly #bySession = new Map<ServerHttp2Session, BrokerTunnel>();
  readonly #instances: Instances<BrokerTunnel>;
  readonly #stopListening: () => void;
  readonly #healthTimer: NodeJS.Timeout;
  readonly #work = new ConnectorWork();
  /** Tunnels that have said hello, whatever was answered. */
  readonly #helloSaid = new WeakSet<BrokerTunnel>();
  readonly #reconnectWindow = new ReconnectWindow();
  #isDraining = false;

  constructor(deps: TunnelsDeps) {
    this.#deps = deps;
    this.#instances = new Instances(deps.log);
    this.#stopListening = deps.store.onChange((change) => this.#changed(change));
    this.#healthTimer = setInterval(() => {
      const now = performance.now();
      deps.registry.health.sweep(now);
      for (const tunnel of this.all()) {
        tunnel.checkHealth(now);
        // Users' connections end one after the other: until then they may begin more.
        if (this.#isDraining) tunnel.drainExchanges();
      }
    }, HEALTH_CHECK_MS);
  }

  /** All tunnels that are open now. */
  all(): IterableIterator<BrokerTunnel> {
    return this.#bySession.values();
  }

  /** Takes over a control stream: the session becomes a tunnel. Throws `TunnelError` if it is one already. */
  open(session: ServerHttp2Session, stream: ServerHttp2Stream, peer: TunnelPeer): void {
    if (this.#bySession.has(session)) {
      throw new TunnelError("tunnel_replaced", "Session has a control stream already");
    }
    const log = this.#deps.log.with({ connector: peer.connectorId });
    const tunnel: BrokerTunnel = new BrokerTunnel(session, stream, peer, this.#deps, {
      request: (type, fields, reply) => this.#request(session, tunnel, type, fields, reply),
      notice: (type, fields) => {
        if (type === "backend.health") return this.#backendHealth(tunnel, fields);
        if (type === "trust.taken") return this.#trustTaken(tunnel, fields);
        if (type === "handover") return this.#instances.announced(tunnel, fields.instanceId);
        if (type !== "drain" || !tunnel.drain()) return;
        this.#instanceLeft(tunnel);
        log.info("connector is about to stop", { busy: tunnel.busy });
      },
      message: (bytes) => this.#work.message(peer.connectorId, bytes),
    }, (closed, reason) => {
      this.#bySession.delete(session);
      if (!this.#isDraining) this.#numberChanged();
      this.#instanceLeft(closed);
      this.#seen(closed);
      if (reason instanceof TunnelError || reason instanceof ProtocolError) {
        this.#deps.counters.refusedTunnel(reason.code);
      }
      log.info("tunnel closed", {
        reason: reason?.message ?? "ended by the connector",
        ...(reason === null ? {} : { code: (reason as { code?: string }).code ?? "error" }),
        exchanges: closed.exchanges,
      });
    });
    this.#bySession.set(session, tunnel);
  }

  /** The tunnel of a session; throws `TunnelError` when it has none. */
  of(session: ServerHttp2Session): BrokerTunnel {
    const tunnel = this.#bySession.get(session);
    if (tunnel === undefined) throw new TunnelError("tunnel_unknown", "Session has no control stream");
    return tunnel;
  }

  /** The tunnel of a session, where it has one. */
  find(session: ServerHttp2Session): BrokerTunnel | undefined {
    return this.#bySession.get(session);
  }

  /** A connector wants another tunnel. Throws `tunnel_flood` when it has asked for too much of late. */
  arriving(connectorId: string): void {
    this.#work.tunnel(connectorId);
  }

  /** A tunnel's connector has opened a lane, or a stream that was refused: one that does nothing else is ended. */
  opened(tunnel: BrokerTunnel, what: "lane" | "refusal"): void {
    try {
      this.#work.stream(tunnel.connectorId, what);
    } catch (error) {
      tunnel.close(error as Error);
    }
  }

  /** True once the connector at the other end of a session has said hello. */
  hasGreeted(session: ServerHttp2Session): boolean {
    return (this.#bySession.get(session)?.hello ?? null) !== null;
  }

  /** Tells every connector that this node is about to stop. */
  announceDrain(graceMs: number): void {
    this.#isDraining = true;
    for (const tunnel of this.all()) {
      tunnel.control.notice("drain", { graceMs, ...this.#reconnectWindow.fields(this.#bySession.size) });
      tunnel.drainExchanges();
    }
  }

  /** Tells every connector which authorities to trust from now on. */
  announceTrust(): void {
    for (const tunnel of this.all()) if (tunnel.hello !== null) this.#tellTrust(tunnel);
  }

  /** Ends all tunnels at once. */
  [Symbol.dispose](): void {
    this.#stopListening();
    clearInterval(this.#healthTimer);
    for (const tunnel of [...this.all()]) {
      tunnel.close(new TunnelError("broker_stopping", "Broker is stopping"));
    }
  }

  async #request(
    session: ServerHttp2Session,
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
        return await this.#hello(session, tunnel, parseHello(fields), reply);
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

  #numberChanged(): void {
    this.#reconnectWindow.changed(this.#bySession.size, () => this.all());
  }

  /** Throws what ends the tunnel: a second hello, or more questions than a connector has. */
  #expect(tunnel: BrokerTunnel, type: string): void {
    if (type === "hello") {
      if (this.#helloSaid.has(tunnel)) throw new ProtocolError("Cannot accept hello: it was said already");
      this.#helloSaid.add(tunnel);
    }
    this.#work.request(tunnel.connectorId, type);
  }

  #tellTrust(tunnel: BrokerTunnel): void {
    tunnel.trustTold += 1;
    tunnel.control.notice("trust", { ca: this.#deps.identities.trustAnchors() });
  }

  async #hello(
    session: ServerHttp2Session,
    tunnel: BrokerTunnel,
    hello: Hello,
    reply: Reply,
  ): Promise<void> {
    const { nodeId, softwareVersion, store, log } = this.#deps;
    const revision = agreeOnRevision(hello);
    // Read again: from here on a change of the connector reaches this tunnel by notice, none is missed between.
    try {
      const { groupId } = await admit(store, tunnel.peer);
      tunnel.move(groupId);
    } catch (error) {
      const code = admissionCode(error);
      if (code === null) throw error;
      return this.#revoke([tunnel], code);
    }
    const { settings } = await store.getSettings();
    const isNew = await this.#instances.enter(tunnel, hello.instanceId, settings.sharedIdentity);
    if (isNew) this.#deps.registry.health.forget(tunnel.connectorId); // It says itself what it cannot reach.
    const welcome: Welcome = {
      revision,
      capabilities: CAPABILITIES.filter((name) => hello.capabilities.includes(name)),
      nodeId,
      nodes: [],
      softwareVersion,
      connectorId: tunnel.connectorId,
    };
    await reply({ ...welcome, ...this.#reconnectWindow.fields(this.#bySession.size) });
    tunnel.greet(hello);
    this.#numberChanged();
    this.#deps.onGreeted?.(session);
    this.#tellTrust(tunnel);
    await this.#tellLogLevel([tunnel]);
    this.#seen(tunnel);
    log.info("tunnel ready", {
      connector: tunnel.connectorId,
      group: tunnel.groupId,
      machineName: hello.machineName,
      externalIp: tunnel.peer.externalIp,
      version: hello.softwareVersion,
      protocol: Math.min(revision, PROTOCOL_REVISION),
    });
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
    this.#seen(tunnel, { trustedRoots: parseTrustTakenNotice(fields).roots });
  }

  #seen(tunnel: BrokerTunnel, more: { trustedRoots?: string[] } = {}): void {
    const { hello, peer, connectorId } = tunnel;
    const seen = {
      at: Date.now(),
      externalIp: peer.externalIp,
      certificateSerial: peer.serial,
      ...(hello === null ? {} : {
        softwareVersion: hello.softwareVersion,
        machineName: hello.machineName,
        os: hello.os,
      }),
      ...more,
    };
    this.#deps.store.noteConnectorSeen(connectorId, seen).catch((error: Error) => {
      // A deleted connector is expected here; anything else is worth a line, and no reason to end the tunnel.
      if ((error as { code?: string }).code === "not_found") return;
      this.#deps.log.warn("cannot note that connector was seen", {
        connector: connectorId,
        error: error.message,
      });
    });
  }

  #changed(change: Change): void {
    switch (change.kind) {
      case "apps":
        for (const tunnel of this.all()) {
          if (change.groupIds.includes(tunnel.groupId)) tunnel.control.notice("config.changed");
        }
        return;
      case "connector":
        return this.#connectorChanged(change.id, change.what);
      case "certificate":
        return this.#revoke(
          [...this.all()].filter(({ peer }) => peer.serial === change.serial),
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
    const affected = [...this.all()].filter((tunnel) => tunnel.connectorId === id);
    if (affected.length === 0) return;
    if (what === "deleted") return this.#revoke(affected, "connector_unknown");
    this.#deps.store.getConnector(id).then(
      (record) => {
        if (!record.enabled) return this.#revoke(affected, "connector_disabled");
        for (const tunnel of affected) tunnel.move(record.groupId);
      },
      () => this.#revoke(affected, "connector_unknown"), // Not known to be allowed: not allowed.
    );
  }

  async #settingsChanged(): Promise<void> {
    await this.#tellLogLevel([...this.all()]);
    const { settings } = await this.#deps.store.getSettings();
    if (settings.sharedIdentity === "refuse") {
      this.#revoke(await this.#instances.unshare(), "identity_shared");
    }
  }

  /** What a process has said of its backends counts no longer than it is there; another one says it again. */
  #instanceLeft(tunnel: BrokerTunnel): void {
    if (this.#instances.left(tunnel)) this.#deps.registry.health.forget(tunnel.connectorId);
  }

  #revoke(tunnels: BrokerTunnel[], code: AdmissionCode | "identity_shared"): void {
    for (const tunnel of tunnels) {
      tunnel.control.notice("revoked", { code });
      setImmediate(() =>
        tunnel.close(new TunnelError(code, "The administrator has ended this connector's access"))
      );
    }
  }

  /** What connectors log is their own matter until the administrator has said something about it. */
  async #tellLogLevel(tunnels: BrokerTunnel[]): Promise<void> {
    const { settings, version }: { settings: Settings; version: number } = await this.#deps.store
      .getSettings();
    if (version <= 1) return;
    for (const { control } of tunnels) {
      control.notice("log.level", { level: settings.logLevel, session: settings.sessionLog });
    }
  }
}
