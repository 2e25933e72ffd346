import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import { ProtocolError } from "../../protocol/errors.ts";
import type { RememberedStore, TunnelStore } from "../store/remembered.ts";
import { Announcements } from "./announcements.ts";
import { ConnectorNotices } from "./connector_notices.ts";
import { ConnectorRequests } from "./connector_requests.ts";
import { ConnectorWork } from "./connector_work.ts";
import { TunnelError } from "./errors.ts";
import { Greeting } from "./greeting.ts";
import { Instances } from "./instances.ts";
import { LastSeen } from "./last_seen.ts";
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

/** How often the health of all tunnels is looked at, milliseconds. */
const HEALTH_CHECK_MS = 250;

/** All tunnels of this node: which there are, from their control stream to their end, and what concerns all of them. */
export class Tunnels implements Disposable {
  readonly #deps: TunnelsDeps;
  readonly #bySession = new Map<ServerHttp2Session, BrokerTunnel>();
  readonly #announcements: Announcements;
  readonly #requests: ConnectorRequests;
  readonly #notices: ConnectorNotices;
  readonly #lastSeen: LastSeen;
  readonly #healthTimer: NodeJS.Timeout;
  readonly #work = new ConnectorWork();
  readonly #reconnectWindow = new ReconnectWindow();
  #isDraining = false;

  constructor(deps: TunnelsDeps) {
    this.#deps = deps;
    const instances = new Instances<BrokerTunnel>(deps.log);
    const announcements = new Announcements(deps, instances, () => this.all());
    const lastSeen = new LastSeen(deps);
    const greeting = new Greeting(deps, {
      instances,
      announcements,
      lastSeen,
      reconnectWindow: () => this.#reconnectWindow.fields(this.#bySession.size),
      greeted: (tunnel) => {
        this.#numberChanged();
        deps.onGreeted?.(tunnel.session);
      },
    });
    this.#announcements = announcements;
    this.#lastSeen = lastSeen;
    this.#requests = new ConnectorRequests(deps, this.#work, greeting);
    this.#notices = new ConnectorNotices(deps, instances, lastSeen);
    this.#healthTimer = setInterval(() => this.#checkHealth(), HEALTH_CHECK_MS);
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
    const tunnel: BrokerTunnel = new BrokerTunnel(session, stream, peer, this.#deps, {
      request: (type, fields, reply) => this.#requests.answer(tunnel, type, fields, reply),
      notice: (type, fields) => this.#notices.take(tunnel, type, fields),
      message: (bytes) => this.#work.message(peer.connectorId, bytes),
    }, (closed, reason) => this.#closed(closed, reason));
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

  /** Resolves when tunnels are in the groups that the store has told before this call, or about to end. */
  settled(): Promise<void> {
    return this.#announcements.settled();
  }

  /** Tells every connector which authorities to trust from now on. */
  announceTrust(): void {
    for (const tunnel of this.all()) if (tunnel.hello !== null) this.#announcements.trust(tunnel);
  }

  /** Ends all tunnels at once. */
  [Symbol.dispose](): void {
    this.#announcements[Symbol.dispose]();
    clearInterval(this.#healthTimer);
    for (const tunnel of [...this.all()]) {
      tunnel.close(new TunnelError("broker_stopping", "Broker is stopping"));
    }
  }

  #closed(tunnel: BrokerTunnel, reason: Error | null): void {
    this.#bySession.delete(tunnel.session);
    if (!this.#isDraining) this.#numberChanged();
    this.#notices.left(tunnel);
    this.#lastSeen.note(tunnel);
    if (reason instanceof TunnelError || reason instanceof ProtocolError) {
      this.#deps.counters.refusedTunnel(reason.code);
    }
    this.#deps.log.info("tunnel closed", {
      connector: tunnel.connectorId,
      reason: reason?.message ?? "ended by the connector",
      ...(reason === null ? {} : { code: (reason as { code?: string }).code ?? "error" }),
      exchanges: tunnel.exchanges,
    });
  }

  #numberChanged(): void {
    this.#reconnectWindow.changed(this.#bySession.size, () => this.all());
  }

  #checkHealth(): void {
    const now = performance.now();
    this.#deps.registry.health.sweep(now);
    for (const tunnel of this.all()) {
      tunnel.checkHealth(now);
      // Users' connections end one after the other: until then they may begin more.
      if (this.#isDraining) tunnel.drainExchanges();
    }
  }
}
