import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type BrokerProcess,
  type ConnectorProcess,
  registerConnector,
  startBroker,
  startConnector,
} from "../../src/demo/processes.ts";
import { connectorRuntime } from "./connector_runtime.ts";
import { LogLines } from "./log_lines.ts";
import { ownPort } from "./own_port.ts";
import { type TcpRelay, tcpRelay } from "./tcp_relay.ts";
import { until } from "./until.ts";

/** A tunnel as the admin API shows it. */
export interface TunnelFacts {
  instanceId: string;
  state: string;
  connectedAt: string;
  lanesIdle: number;
  lanesBusy: number;
  configRevision: number;
}

/** A connector as the admin API shows it. */
export interface ConnectorFacts {
  id: string;
  status: string;
  connected: boolean;
  version: string;
  latestVersion: string | null;
  desiredVersion: string | null;
  memberOf: { id: string; name: string };
  tunnels: TunnelFacts[];
}

/** How to start one. */
export interface StageOptions {
  connectorArgs?: readonly string[];
  /** Added to the environment of broker and connector. */
  brokerEnv?: Readonly<Record<string, string>>;
  connectorEnv?: Readonly<Record<string, string>>;
  /** Sees each line of the broker's log. */
  onBrokerLog?: (line: string) => void;
  /** Before the broker starts; gives further arguments for it. */
  prepare?: (stage: TunnelStage) => Promise<readonly string[]>;
}

/** Broker and connector as processes of their own, with a relay between them. */
export class TunnelStage implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly #options: StageOptions;
  readonly folder: string;
  readonly relay: TcpRelay;
  broker!: BrokerProcess;
  connector!: ConnectorProcess;
  connectorId = "";
  #brokerArgs: readonly string[] = [];
  /** Of the broker, for users with and without TLS and for the admin API. */
  readonly #ports: number[] = [];
  readonly #brokerLines = new LogLines();
  readonly #connectorLines = new LogLines();
  /** What broker and connector have logged, a line each. */
  readonly brokerLog: readonly string[] = this.#brokerLines.lines;
  readonly connectorLog: readonly string[] = this.#connectorLines.lines;

  private constructor(folder: string, relay: TcpRelay, options: StageOptions) {
    this.folder = folder;
    this.relay = relay;
    this.#options = options;
    this.#stack.defer(() => rm(folder, { recursive: true, force: true }));
    this.#stack.use(relay);
  }

  /** Starts all of it. */
  static async start(options: StageOptions = {}): Promise<TunnelStage> {
    const folder = await mkdtemp(join(tmpdir(), "sallyport-stage-"));
    const stage = new TunnelStage(folder, await tcpRelay(), options);
    try {
      for (let i = 0; i < 3; i++) stage.#ports.push(stage.#stack.use(await ownPort()).port);
      stage.#brokerArgs = await options.prepare?.(stage) ?? [];
      await stage.startBroker();
      await stage.register();
      await stage.startConnector();
      return stage;
    } catch (error) {
      await stage[Symbol.asyncDispose]();
      throw error;
    }
  }

  get dataDir(): string {
    return join(this.folder, "broker");
  }

  get stateDir(): string {
    return join(this.folder, "connector");
  }

  /** Starts the broker; the same ports again when it ran before. */
  async startBroker(): Promise<void> {
    const [publicPort, plainPort, adminPort] = this.#ports;
    const broker = await startBroker({
      dataDir: this.dataDir,
      publicAddress: this.relay.address,
      publicListen: `127.0.0.1:${publicPort}`,
      plainListen: `127.0.0.1:${plainPort}`,
      adminListen: `127.0.0.1:${adminPort}`,
      args: ["--drain-ms", "0", "--log-format", "json", ...this.#brokerArgs],
      env: this.#options.brokerEnv,
      onLog: (line) => {
        this.#brokerLines.add(line);
        this.#options.onBrokerLog?.(line);
      },
    });
    this.#stack.defer(() => broker.stop());
    this.broker = broker;
    this.relay.target = broker.listeners.public.port;
  }

  /** Enrols the connector. */
  async register(): Promise<void> {
    const registration = await registerConnector({
      stateDir: this.stateDir,
      token: await this.broker.admin.enrolmentToken(),
      runtime: connectorRuntime(),
    });
    this.connectorId = String(registration.connectorId);
  }

  /** Starts the connector and waits until a request could go through its tunnel at once. */
  async startConnector(): Promise<void> {
    const connector = await startConnector({
      stateDir: this.stateDir,
      runtime: connectorRuntime(),
      args: ["--log-format", "json", ...this.#options.connectorArgs ?? []],
      env: this.#options.connectorEnv,
      onLog: (line) => this.#connectorLines.add(line),
    });
    this.#stack.defer(() => connector.stop());
    this.connector = connector;
    // Its lanes come after the tunnel; a broker that lets no request wait would refuse one until then.
    await this.until("a lane is there", ({ tunnels }) => tunnels.some(({ lanesIdle }) => lanesIdle > 0));
  }

  /** The first line of the connector's log, from line `from` on, that has `text` in it; waits until it is there. */
  logged(text: string, from = 0): Promise<Record<string, unknown>> {
    return this.#connectorLines.logged(text, from);
  }

  /** As `logged`, of the broker's log. */
  brokerLogged(text: string, from = 0): Promise<Record<string, unknown>> {
    return this.#brokerLines.logged(text, from);
  }

  /** An internal web server of this process; gives its origin, e.g. `http://127.0.0.1:8080`. */
  async backend(answer: RequestListener): Promise<{ origin: string; server: Server }> {
    const server = createServer(answer);
    server.listen({ host: "127.0.0.1", port: 0, backlog: 4096 });
    await once(server, "listening");
    this.#stack.defer(async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    });
    return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
  }

  /** URL of a path at the plain ingress. */
  url(path = "/"): string {
    return new URL(path, this.broker.plainUrl).href;
  }

  /** Publishes an internal origin below a path of the plain ingress; its app id. */
  publish(path: string, origin: string, settings: Record<string, unknown> = {}): Promise<string> {
    return this.broker.admin.publish({
      name: `App at ${path}`,
      externalUrl: this.url(path),
      internalUrl: origin,
      settings,
    });
  }

  /** The connector as the API shows it now. */
  async facts(): Promise<ConnectorFacts> {
    return await this.broker.admin.request("GET", `connectors/${this.connectorId}`) as ConnectorFacts;
  }

  /** Asks the API until the connector is as `holds` wants it. */
  async until(what: string, holds: (facts: ConnectorFacts) => boolean): Promise<ConnectorFacts> {
    let facts: ConnectorFacts | undefined;
    const more = () =>
      `It is ${JSON.stringify(facts)}; its log ends\n  ${this.connectorLog.slice(-10).join("\n  ")}`;
    return await until(what, async () => holds(facts = await this.facts()) && facts, { more });
  }

  /** Resolves when no lane carries an exchange. */
  idle(): Promise<ConnectorFacts> {
    return this.until(
      "no lane is busy",
      ({ tunnels }) => tunnels.length > 0 && tunnels.every((t) => t.lanesBusy === 0),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
