import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocketServer } from "ws";
import {
  type BrokerProcess,
  type ConnectorProcess,
  registerConnector,
  startBroker,
  startConnector,
} from "../../src/demo/processes.ts";
import { BoundSocket } from "./bound_socket.ts";
import { waitForExchange } from "../../src/demo/wait_for_exchange.ts";
import { ownPort } from "../support/own_port.ts";
import { publicCertificate } from "../support/public_certificate.ts";
import { FaultyRelay } from "./faulty_relay.ts";
import type { Http2Target } from "./http2_shots.ts";
import { Sightings } from "./sightings.ts";

/** A connector with a relay of its own in front of the broker. */
export interface FaultyConnector {
  id: string;
  name: string;
  process: ConnectorProcess;
  relay: FaultyRelay;
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
  /** Before the broker starts; gives its data folder's place instead of the one in the stage's folder. */
  dataDir?: (stage: FaultStage) => Promise<string>;
  /** Likewise for the state folder of the connector of this index. */
  stateDir?: (stage: FaultStage, index: number) => Promise<string>;
}

/** Name of the app's host for users of HTTP/2. */
const HOST = "app.example.test";
const CHUNK = Buffer.alloc(64 * 1024, "b");

/** A broker, connectors each behind a relay, and a backend that counts: all real, and all can be made to fail. */
export class FaultStage implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly #options: FaultStageOptions;
  readonly folder: string;
  readonly connectors: FaultyConnector[] = [];
  broker!: BrokerProcess;
  appId = "";
  /** Ends the backend's idle connections. */
  cutBackend: () => void = () => {};
  dataDir = "";
  backendUrl = "";
  /** What the programs have said of tunnels, and when. */
  readonly sightings = new Sightings();
  #ca = "";
  #certificates = "";
  #publicAddress = "";
  #brokerPorts: readonly string[] = [];
  #sockets: ReadonlyMap<string, number> | undefined;
  /** When the broker went and was there again, milliseconds of the load. */
  downFromMs = 0;
  downUntilMs = 0;
  /** From the end of each fault until all was well, milliseconds. */
  readonly recoveries: number[] = [];
  /** How long is waited for what a fault has to bring about, milliseconds. */
  patienceMs = 20_000;
  /** Bars on times are so many times as high: where the machine is not ours alone, it may stand still for a while. */
  slack = 1;
  /** Resolves when a fault may happen: the load is as steady as it is to be. */
  calm: () => Promise<void> = () => Promise.resolve();
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

  /** Where the app is for users of HTTP/2. */
  get http2(): Http2Target {
    return { port: this.broker.listeners.public.port, host: HOST, ca: this.#ca };
  }

  /** Frees something when the stage ends. */
  defer(done: () => Promise<void>): void {
    this.#stack.defer(done);
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
      dataDir: this.dataDir,
      publicListen,
      plainListen,
      adminListen,
      publicAddress: this.#publicAddress,
      args: this.#brokerArgs,
      onLog: this.sightings.see,
    });
  }

  /** A new broker takes the place of the old one, which is told to stop once the new one is ready. */
  async replaceBroker(): Promise<void> {
    const old = this.broker;
    const [publicListen, plainListen] = this.#brokerPorts;
    this.broker = await startBroker({
      dataDir: this.dataDir,
      publicListen,
      plainListen,
      publicAddress: this.#publicAddress,
      args: this.#brokerArgs,
      onLog: this.sightings.see,
      sockets: this.#sockets,
    });
    await old.stop();
    const { exit } = old.child;
    if (exit?.code !== 0) {
      throw new Error(`Cannot replace broker: the old one ended with ${JSON.stringify(exit)}`);
    }
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

  get #brokerArgs(): readonly string[] {
    return ["--certificates", this.#certificates, ...this.#options.brokerArgs ?? []];
  }

  async #makeCertificate(): Promise<void> {
    const { cert, key, ca } = await publicCertificate(HOST);
    const [certFile, keyFile] = [join(this.folder, "app.pem"), join(this.folder, "app.key")];
    await writeFile(certFile, cert);
    await writeFile(keyFile, key, { mode: 0o600 });
    this.#ca = ca;
    this.#certificates = JSON.stringify([{ hosts: [HOST], certFile, keyFile }]);
  }

  async #start(): Promise<void> {
    // Not those that have had no request yet: no server closes them, and one may be on its way.
    const idle = new Set<Socket>();
    const backend = createServer({ keepAlive: true }, (req, res) => {
      idle.delete(req.socket);
      res.on("finish", () => idle.add(req.socket));
      this.seen[req.method!] = (this.seen[req.method!] ?? 0) + 1;
      req.resume();
      if (req.url === "/bulk") return endless(res);
      res.end("ok\n");
    });
    backend.on("connection", (socket: Socket) => socket.once("close", () => idle.delete(socket)));
    backend.keepAliveTimeout = 60_000;
    const websockets = new WebSocketServer({ noServer: true });
    backend.on("upgrade", (req, socket, head) => websockets.handleUpgrade(req, socket, head, () => {}));
    this.cutBackend = () => {
      for (const socket of idle) socket.destroy();
    };
    backend.listen(0, "127.0.0.1");
    await once(backend, "listening");
    this.#stack.defer(async () => {
      const closed = once(backend, "close");
      backend.close();
      backend.closeAllConnections();
      await closed;
    });
    const relays: FaultyRelay[] = [];
    for (let i = 0; i < Math.max(1, this.#options.connectors); i++) {
      relays.push(this.#stack.use(await FaultyRelay.start()));
    }
    await this.#makeCertificate();
    this.dataDir = await this.#options.dataDir?.(this) ?? join(this.folder, "broker");
    if (this.#options.ownSockets) {
      const [front, plain] = [new BoundSocket(), new BoundSocket()];
      this.#stack.use(front);
      this.#stack.use(plain);
      this.#sockets = new Map([["public", front.descriptor], ["plain", plain.descriptor]]);
    }
    const ports: string[] = [];
    for (let i = 0; i < 3; i++) ports.push(`127.0.0.1:${this.#stack.use(await ownPort()).port}`);
    const [publicListen, plainListen, adminListen] = ports;
    this.broker = await startBroker({
      dataDir: this.dataDir,
      ...(this.#sockets === undefined ? { publicListen, plainListen, adminListen } : {}),
      publicAddress: relays[0]!.address,
      args: this.#brokerArgs,
      onLog: this.sightings.see,
      sockets: this.#sockets,
    });
    this.#publicAddress = relays[0]!.address;
    const { listeners } = this.broker;
    this.#brokerPorts = [listeners.public, listeners.plain, listeners.admin].map(({ port }) =>
      `127.0.0.1:${port}`
    );
    for (const relay of relays) relay.target = listeners.public.port;
    const host = this.#options.backendHost ?? "127.0.0.1";
    this.backendUrl = `http://${host}:${(backend.address() as AddressInfo).port}/`;
    this.appId = await this.broker.admin.publish({
      name: "Backend",
      externalUrl: this.url,
      internalUrl: this.backendUrl,
      settings: { externalUrls: [this.url, `https://${HOST}/`], ...this.#options.app },
    });
    for (const [index, relay] of relays.slice(0, this.#options.connectors).entries()) {
      const name = `connector-${index}`;
      const stateDir = await this.#options.stateDir?.(this, index) ?? join(this.folder, name);
      const token = await this.broker.admin.enrolmentToken();
      const { connectorId } = await registerConnector({ stateDir, token, runtime: "node" });
      await dialThrough(stateDir, relay);
      const env = this.#options.connectorEnv?.(index);
      const process = await startConnector({ stateDir, runtime: "node", env });
      this.connectors.push({ id: String(connectorId), name, process, relay });
    }
    if (this.connectors.length > 0) await waitForExchange(this.url);
  }
}

/** A response that goes on for as long as it is read. */
function endless(res: ServerResponse): void {
  while (!res.destroyed && res.write(CHUNK));
  if (!res.destroyed) res.once("drain", () => endless(res));
}

/** Makes a registered connector dial its broker through a relay. */
async function dialThrough(stateDir: string, relay: FaultyRelay): Promise<void> {
  const file = join(stateDir, "broker.json");
  const broker = JSON.parse(await readFile(file, "utf8"));
  await writeFile(file, JSON.stringify({ ...broker, brokerAddress: relay.address }));
}
