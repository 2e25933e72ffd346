import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Child } from "./child.ts";
import type { DemoOptions } from "./options.ts";
import { addConnector, type BrokerProcess, type ConnectorProcess, startBroker } from "./processes.ts";
import { startSample } from "./sample.ts";
import { waitForExchange } from "./wait_for_exchange.ts";

/** A running demo, as `--json` prints it, and what a person wants to know beside that. */
export interface Demo {
  publicUrl: string;
  adminUrl: string;
  adminToken: string;
  adminTokenFile: string;
  brokerPid: number;
  connectors: { id: string; pid: number; stateDir: string }[];
  /** The internal application. */
  internalUrl: string;
}

/**
 * Time that exchanges in flight get when the demo stops, milliseconds. The sample's page keeps one open for as long as a
 * browser shows it, and nobody who pressed Ctrl-C wants to wait for that.
 */
const DRAIN = ["--drain-ms", "500"];

/**
 * Runs the demo: starts everything, calls `ready` when an exchange got through, waits until `signal` aborts, stops
 * everything and removes its folder. Rejects, with everything stopped, when a program cannot start or ends unasked.
 */
export async function runDemo(
  options: DemoOptions,
  progress: (line: string) => void,
  ready: (demo: Demo) => void,
  signal: AbortSignal,
): Promise<void> {
  const failed = new AbortController();
  const over = AbortSignal.any([signal, failed.signal]);
  // Stopped in reverse order: connectors first, so that the broker sees them leave, the folder last.
  await using things = new AsyncDisposableStack();

  const folder = await mkdtemp(join(tmpdir(), "sallyport-demo-"));
  things.defer(() => rm(folder, { recursive: true, force: true }));

  const watch = (child: Child) => {
    void child.exited.then(() => {
      if (!over.aborted) failed.abort(child.died("unexpectedly"));
    });
  };

  const internalUrl = options.url ?? await sample(things, progress);
  over.throwIfAborted();

  progress("Starting the broker");
  const broker = await startBroker({ dataDir: join(folder, "broker"), signal: over, args: DRAIN });
  things.defer(() => broker.stop());
  watch(broker.child);

  progress(`Publishing ${internalUrl}`);
  const settings = {
    hostHeader: options.hostHeader,
    ...(options.insecure ? { backendTls: { validate: false } } : {}),
  };
  await broker.admin.publish({ name: "Demo", externalUrl: broker.plainUrl, internalUrl, settings });

  const connectors: (ConnectorProcess & { id: string })[] = [];
  for (let number = 1; number <= options.connectors; number++) {
    over.throwIfAborted();
    progress(`Enrolling and starting connector ${number} of ${options.connectors}`);
    const connector = await addConnector(broker, folder, `connector-${number}`, {
      signal: over,
      args: DRAIN,
    });
    things.defer(() => connector.stop());
    watch(connector.child);
    connectors.push(connector);
  }

  progress("Waiting for the first exchange");
  await waitForExchange(broker.plainUrl, over, internalUrl);
  ready(describe(broker, connectors, internalUrl));
  await aborted(over);
  // The reason of a stop that was asked for is no error; a child's death is.
  failed.signal.throwIfAborted();
  progress("Stopping");
}

async function sample(things: AsyncDisposableStack, progress: (line: string) => void): Promise<string> {
  progress("Starting the sample application");
  const application = await startSample();
  things.defer(() => application.close());
  return application.url;
}

function describe(
  broker: BrokerProcess,
  connectors: readonly (ConnectorProcess & { id: string })[],
  internalUrl: string,
): Demo {
  return {
    publicUrl: broker.plainUrl,
    adminUrl: broker.adminUrl,
    adminToken: broker.adminToken,
    adminTokenFile: broker.adminTokenFile,
    brokerPid: broker.child.pid,
    connectors: connectors.map(({ id, child, stateDir }) => ({ id, pid: child.pid, stateDir })),
    internalUrl,
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
