import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
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
import { BoundSocket } from "./bound_socket.ts";
import { waitForExchange } from "../../src/demo/wait_for_exchange.ts";
import { type TcpRelay, tcpRelay } from "../support/tcp_relay.ts";

/** A connector with a relay of its own in front of the broker. */
export interface FaultyConnector {
  id: string;
  name: string;
  process: ConnectorProcess;
  relay: TcpRelay;
}

/** How to start one. */
export interface FaultStageOptions {
  connectors: number;
  brokerArgs?: readonly string[];
  /** Further environment of the connector of this index. */
  connectorEnv?: (index: number) => Readonly<Record<string, string>>;
  /** Settings of the app. */
  app?: Readonly<Record<string, unknown>>;
  /** Host that the app's internal URL names. */
  backendHost?: string;
  /** The broker's sockets are ours, and it inherits them. */
  ownSockets?: boolean;
}

/** A broker, connectors each behind a relay, and a backend that counts: all real, and all can be made to fail. */
export class FaultStage implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly #options: FaultStageOptions;
  readonly folder: string;
  readonly connectors: FaultyConnector[] = [];
  broker!: BrokerProcess;
  appId = "";
  #brokerPorts: readonly string[] = [];
  #sockets: ReadonlyMap<string, number> | undefined;
  /** When the broker went and was there again, milliseconds of the load. */
  downFromMs = 0;
  downUntilMs = 0;
  /** Requests that the backend has seen, by method. */
  readonly seen: Record<string, number> = {};

  private constructor(folder: string, options: FaultStageOptions) {
    this.folder = folder;
    this.#options = options;
    this.#stack.defer(() => rm(folder, { recursive: true, force: true }));
  }

  /** Starts all of it; resolves when an exchange gets through. */
  static async start(options: FaultStageOptions): Promise<FaultStage> {
    const stage = new FaultStage(await mkdtemp(join(tmpdir(), "sallyport-faults-")), options);
    try {
      await stage.#start();
      return stage;
    } catch (error) {
      await stage[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Where the app is for users. */
  get url(): string {
    return this.broker.plainUrl;
  }

  /** Starts a connector that has ended, with its old identity. */
  async startAgain(index: number): Promise<void> {
    const connector = this.connectors[index]!;
    connector.process = await startConnector({
      stateDir: connector.process.stateDir,
      runtime: "node",
      env: this.#options.connectorEnv?.(index),
    });
  }

  /** A new process takes over from a connector that serves. */
  async takeOver(index: number): Promise<void> {
    const connector = this.connectors[index]!;
    const old = connector.process;
    connector.process = await startConnector({
      stateDir: old.stateDir,
      runtime: "node",
      env: this.#options.connectorEnv?.(index),
      args: ["--take-over"],
    });
    const { code } = await old.child.exited;
    if (code !== 0) throw new Error(`Cannot take over: the old process ended with ${code}`);
  }

  /** Starts the broker that has ended, on the same ports and data. */
  async startBrokerAgain(): Promise<void> {
    const [publicListen, plainListen, adminListen] = this.#brokerPorts;
    this.broker = await startBroker({
      dataDir: join(this.folder, "broker"),
      publicListen,
      plainListen,
      adminListen,
      publicAddress: this.connectors[0]!.relay.address,
      args: this.#options.brokerArgs,
    });
  }

  /** A new broker takes the place of the old one, which is told to stop once the new one is ready. */
  async replaceBroker(): Promise<void> {
    const old = this.broker;
    const [publicListen, plainListen] = this.#brokerPorts;
    this.broker = await startBroker({
      dataDir: join(this.folder, "broker"),
      publicListen,
      plainListen,
      publicAddress: this.connectors[0]!.relay.address,
      args: this.#options.brokerArgs,
      sockets: this.#sockets,
    });
    await old.stop();
  }

  /** What the admin API says of a connector's tunnels. */
  async tunnelsOf(index: number): Promise<readonly { state?: string }[]> {
    const { id } = this.connectors[index]!;
    const record = await this.broker.admin.request("GET", `connectors/${id}`) as {
      tunnels: { state?: string }[];
    };
    return record.tunnels;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { process } of this.connectors) {
      process.child.signal("SIGCONT");
      await process.child.stop(0);
    }
    await this.broker?.child.stop(0);
    await this.#stack.disposeAsync();
  }

  async #start(): Promise<void> {
    const backend = createServer({ keepAlive: true }, (req, res) => {
      this.seen[req.method!] = (this.seen[req.method!] ?? 0) + 1;
      req.resume();
      res.end("ok\n");
    });
    backend.keepAliveTimeout = 60_000;
    backend.listen(0, "127.0.0.1");
    await once(backend, "listening");
    this.#stack.defer(async () => {
      const closed = once(backend, "close");
      backend.close();
      backend.closeAllConnections();
      await closed;
    });
    const relays: TcpRelay[] = [];
    for (let i = 0; i < this.#options.connectors; i++) relays.push(this.#stack.use(await tcpRelay()));
    if (this.#options.ownSockets) {
      const [front, plain] = [new BoundSocket(), new BoundSocket()];
      this.#stack.use(front);
      this.#stack.use(plain);
      this.#sockets = new Map([["public", front.descriptor], ["plain", plain.descriptor]]);
    }
    this.broker = await startBroker({
      dataDir: join(this.folder, "broker"),
      publicAddress: relays[0]!.address,
      args: this.#options.brokerArgs,
      sockets: this.#sockets,
    });
    const { listeners } = this.broker;
    this.#brokerPorts = [listeners.public, listeners.plain, listeners.admin].map(({ port }) =>
      `127.0.0.1:${port}`
    );
    for (const relay of relays) relay.target = listeners.public.port;
    const host = this.#options.backendHost ?? "127.0.0.1";
    this.appId = await this.broker.admin.publish({
      name: "Backend",
      externalUrl: this.url,
      internalUrl: `http://${host}:${(backend.address() as AddressInfo).port}/`,
      settings: this.#options.app,
    });
    for (const [index, relay] of relays.entries()) {
      const name = `connector-${index}`;
      const stateDir = join(this.folder, name);
      const token = await this.broker.admin.enrolmentToken();
      const { connectorId } = await registerConnector({ stateDir, token, runtime: "node" });
      await dialThrough(stateDir, relay);
      const env = this.#options.connectorEnv?.(index);
      const process = await startConnector({ stateDir, runtime: "node", env });
      this.connectors.push({ id: String(connectorId), name, process, relay });
    }
    await waitForExchange(this.url);
  }
}

/** Makes a registered connector dial its broker through a relay. */
async function dialThrough(stateDir: string, relay: TcpRelay): Promise<void> {
  const file = join(stateDir, "broker.json");
  const broker = JSON.parse(await readFile(file, "utf8"));
  await writeFile(file, JSON.stringify({ ...broker, brokerAddress: relay.address }));
}
