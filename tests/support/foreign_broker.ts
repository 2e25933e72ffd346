import { once } from "node:events";
import {
  createSecureServer,
  type Http2SecureServer,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { saveIdentity } from "../../src/connector/identity/identity.ts";
import { prepareStateFolder } from "../../src/connector/identity/state_folder.ts";
import { Secret } from "../../src/platform/secret.ts";
import { type Abort, encodeRequest, type RequestHead } from "../../src/protocol/heads.ts";
import { STREAM_WINDOW } from "../../src/protocol/limits.ts";
import { PROTOCOL_REVISION } from "../../src/protocol/messages.ts";
import { ControlChannel, type Fields, type Reply } from "../../src/tunnel/control_channel.ts";
import { Backlog } from "../../src/tunnel/backlog.ts";
import { CreditBudget } from "../../src/tunnel/credit_budget.ts";
import { FlushQueue } from "../../src/tunnel/flush_queue.ts";
import { Lane } from "../../src/tunnel/lane.ts";
import { Arrivals } from "./arrivals.ts";
import { TUNNEL_NAME, type TunnelIdentity, tunnelIdentity } from "./tunnel_identity.ts";

/** What a lane's exchange came to. */
export interface LaneAnswer {
  status: number;
  body: string;
  abort: Abort | null;
}

/** A tunnel that a connector has opened to a foreign broker. */
export class ForeignTunnel {
  readonly session: ServerHttp2Session;
  readonly control: ControlChannel;
  /** Lanes that have not been used, and all that are open. */
  readonly lanes: ServerHttp2Stream[] = [];
  readonly open: Set<ServerHttp2Stream> = new Set();
  readonly laneCount: Arrivals = new Arrivals();
  readonly closed: Promise<void>;

  constructor(session: ServerHttp2Session, control: ControlChannel) {
    this.session = session;
    this.control = control;
    this.closed = new Promise((resolve) => session.once("close", () => resolve()));
  }

  /** Sends a GET over the newest lane and waits for its end. */
  exchange(appId: string, revision: number): Promise<LaneAnswer> {
    return new Promise((resolve) => {
      const answer: LaneAnswer = { status: 0, body: "", abort: null };
      const lane = new Lane(this.lanes.pop()!, "broker", {
        budget: new CreditBudget(1024 * 1024 * 1024),
        flushes: new FlushQueue(),
        backlog: new Backlog(),
        roundTripMs: 1,
        now: () => performance.now(),
        received: () => {},
        begun: () => {},
        idle: () => resolve(answer),
        closed: () => resolve(answer),
      });
      const head: RequestHead = {
        appId,
        revision,
        method: "GET",
        target: "/",
        headers: ["Host", "app.example.test"],
        follows: "nothing",
        msLeft: 0,
        client: { ip: "192.0.2.1", scheme: "https" },
        requestId: "r1",
      };
      lane.begin(encodeRequest(head), "nothing", {
        informational: () => {},
        response: ({ status }) => answer.status = status,
        data: (bytes) => {
          answer.body += bytes.toString("latin1");
          lane.consumed(bytes.length);
        },
        end: () => {},
        abort: (reason) => answer.abort = reason,
        writable: () => {},
      });
    });
  }
}

/** A broker that does only what a test tells it: it answers hello and version.poll, and pulls as it is told. */
export class ForeignBroker implements AsyncDisposable {
  readonly tunnels: ForeignTunnel[] = [];
  readonly tunnelCount: Arrivals = new Arrivals();
  /** Answers `config.pull`. */
  pull: (fields: Fields, reply: Reply) => Promise<void> = (_fields, reply) =>
    reply({ groupId: "g", revision: 1, full: true, apps: [], removedIds: [] });
  readonly #server: Http2SecureServer;
  readonly #identity: TunnelIdentity;

  private constructor(server: Http2SecureServer, identity: TunnelIdentity) {
    this.#server = server;
    this.#identity = identity;
    server.on("sessionError", () => {});
    server.on("session", (session) => session.on("error", () => {}));
    server.on("stream", (stream, headers) => this.#stream(stream as ServerHttp2Stream, headers[":path"]));
  }

  /** Listens on a free port of the loopback. */
  static async start(): Promise<ForeignBroker> {
    const identity = await tunnelIdentity();
    const server = createSecureServer({
      ...identity.server,
      requestCert: true,
      maxSessionMemory: 1024,
      settings: { maxConcurrentStreams: 20_000, initialWindowSize: STREAM_WINDOW },
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new ForeignBroker(server, identity);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Makes the state folder of a connector that is registered here and dials this port of the loopback. */
  async register(folder: string, port: number): Promise<string> {
    const stateDir = join(folder, "state");
    await prepareStateFolder(stateDir);
    const target = this.#identity.target(port);
    await saveIdentity(stateDir, {
      ...target,
      key: new Secret(target.key),
      connectorId: "connector_1",
      tunnelName: TUNNEL_NAME,
      enrolName: "enrol.sallyport.test",
      notAfter: 0,
    });
    return stateDir;
  }

  /** The newest tunnel. */
  get tunnel(): ForeignTunnel {
    return this.tunnels.at(-1)!;
  }

  #stream(stream: ServerHttp2Stream, path: string | undefined): void {
    stream.on("error", () => {});
    const session = stream.session as ServerHttp2Session;
    stream.respond({ ":status": 200 });
    if (path === "/tunnel/v1/lane") {
      const tunnel = this.tunnels.find((one) => one.session === session)!;
      tunnel.lanes.push(stream);
      tunnel.open.add(stream);
      stream.on("close", () => tunnel.open.delete(stream));
      tunnel.laneCount.add();
      return;
    }
    const control = new ControlChannel(stream, {
      request: (type, fields, reply) => this.#answer(type, fields, reply),
      notice: () => {},
      received: () => {},
      closed: () => {},
    });
    this.tunnels.push(new ForeignTunnel(session, control));
    this.tunnelCount.add();
  }

  async #answer(type: string, fields: Fields, reply: Reply): Promise<void | "unsupported"> {
    if (type === "config.pull") return await this.pull(fields, reply);
    if (type === "version.poll") return await reply({ latest: "", desired: "" });
    if (type !== "hello") return "unsupported";
    await reply({
      revision: PROTOCOL_REVISION,
      capabilities: [],
      nodeId: "foreign",
      nodes: [],
      softwareVersion: "0.0.1",
      connectorId: "connector_1",
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const { session } of this.tunnels) session.destroy();
    await closed;
    await this.#identity[Symbol.asyncDispose]();
  }
}
