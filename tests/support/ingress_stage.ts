import { mkdtemp, rm, writeFile } from "node:fs/promises";
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
import { publicCertificate } from "./public_certificate.ts";
import { until } from "./until.ts";

/** Broker and connector as processes of their own, for the tests of one file. */
export interface IngressStage extends AsyncDisposable {
  readonly broker: BrokerProcess;
  readonly connector: ConnectorProcess & { id: string };
  /** Ports of the loopback: TLS and plain HTTP for users. */
  readonly tlsPort: number;
  readonly plainPort: number;
  /** What TLS clients of `*.example.test` must trust. */
  readonly ca: string;
  readonly folder: string;
  /** Log lines of both processes, as they came. */
  readonly brokerLog: string[];
  readonly connectorLog: string[];
  /** Publishes an app at each URL of `external` and gives its id; the broker serves it from then on. */
  publish(name: string, external: string | string[], internal: string, settings?: object): Promise<string>;
  /** Value of a metric of the broker, by its name and labels as they stand in `/metrics`; 0 when it is not there. */
  metric(series: string): Promise<number>;
  /** Resolves when every exchange has come to its end on both sides; rejects when a lane was lost for it. */
  lanesIdle(): Promise<void>;
}

/** How to start a stage. */
export interface StageOptions {
  broker?: readonly string[];
  connector?: readonly string[];
  publicListen?: string;
  plainListen?: string;
}

/** A request on a connection of its own: one that was kept may be about to be closed. */
const CLOSES = { headers: { connection: "close" } };

/** Starts a broker with a public certificate for `*.example.test`, and a connector. */
export async function ingressStage(options: StageOptions = {}): Promise<IngressStage> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "sallyport-ingress-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const { cert, key, ca } = await publicCertificate("*.example.test");
  const files = {
    hosts: ["*.example.test"],
    certFile: join(folder, "cert.pem"),
    keyFile: join(folder, "key.pem"),
  };
  await writeFile(files.certFile, cert);
  await writeFile(files.keyFile, key, { mode: 0o600 });

  const brokerLog: string[] = [];
  const connectorLog: string[] = [];
  const broker = await startBroker({
    dataDir: join(folder, "broker"),
    publicListen: options.publicListen,
    plainListen: options.plainListen,
    args: ["--certificates", JSON.stringify([files]), ...(options.broker ?? [])],
    onLog: (line) => brokerLog.push(line),
  });
  stack.defer(() => broker.stop());
  const stateDir = join(folder, "connector");
  // How enrolment runs elsewhere has tests of its own.
  const token = await broker.admin.enrolmentToken();
  const { connectorId } = await registerConnector({ stateDir, token, runtime: "node" });
  const connector = {
    id: String(connectorId),
    ...await startConnector({
      stateDir,
      runtime: connectorRuntime(),
      args: options.connector ?? [],
      onLog: (line) => connectorLog.push(line),
    }),
  };
  stack.defer(() => connector.stop());
  const metric = async (series: string): Promise<number> => {
    const text = await (await fetch(`${broker.adminUrl}/metrics`, CLOSES)).text();
    const line = text.split("\n").find((line) => line.startsWith(`${series} `));
    return line === undefined ? 0 : Number(line.slice(series.length + 1));
  };
  // Lanes come after the tunnel; a broker that lets no request wait long would refuse one until then.
  await until("a lane is there", async () => await metric('sallyport_lanes{state="idle"}') > 0);
  const running = stack.move();
  const stage: IngressStage = {
    broker,
    connector,
    tlsPort: broker.listeners.public.port,
    plainPort: broker.listeners.plain.port,
    ca,
    folder,
    brokerLog,
    connectorLog,
    async publish(name, external, internal, settings = {}) {
      const externalUrls = typeof external === "string" ? [external] : external;
      const app = { name, groupId: "default", externalUrls, internalUrl: internal, ...settings };
      const { id } = await broker.admin.request("POST", "apps", app) as { id: string };
      return id;
    },
    metric,
    async lanesIdle() {
      let [busy, inFlight] = [0, 0];
      await until("no lane is busy", async () => {
        busy = await stage.metric('sallyport_lanes{state="busy"}');
        inFlight = await stage.metric("sallyport_exchanges_in_flight");
        return busy === 0 && inFlight === 0;
      }, { more: () => `${busy} lanes busy, ${inFlight} exchanges in flight` });
      const destroyed = await stage.metric('sallyport_lanes_closed_total{reason="destroyed"}');
      if (destroyed > 0) throw new Error(`${destroyed} lanes were destroyed`);
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
  return stage;
}
