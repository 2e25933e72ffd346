import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type BrokerProcess, type ConnectorProcess, startBroker } from "../../src/demo/processes.ts";
import { waitForExchange } from "../../src/demo/wait_for_exchange.ts";
import type { LinkOptions } from "../relay/link.ts";
import { newConnector } from "./connector.ts";
import { programs } from "./programs.ts";
import { type Relay, startRelay } from "./relay.ts";

/** Broker and connector with a published backend. */
export interface Product {
  /** Where the backend is published, without a slash at the end. */
  origin: string;
  broker: BrokerProcess;
  connector: ConnectorProcess;
  /** What stands between the two, where anything does. */
  relay: Relay | null;
  /** Throws when a program has ended. */
  check(): void;
  /** Ends all of it at once: nobody waits for what is in flight. */
  stop(): Promise<void>;
}

/** Starts both programs, with a relay between them where `line` says so, and waits for an exchange through them. */
export async function startProduct(
  folder: string,
  backend: string,
  line: LinkOptions | null,
): Promise<Product> {
  await using started = new AsyncDisposableStack();
  await mkdir(folder, { recursive: true });
  const relay = line === null ? null : await startRelay(line);
  if (relay !== null) started.defer(() => relay.stop());
  const broker = await startBroker({
    bundle: (await programs()).broker,
    dataDir: join(folder, "broker"),
    publicAddress: relay === null ? undefined : `127.0.0.1:${relay.port}`,
  });
  started.defer(async () => void await broker.child.stop(0));
  await relay?.target(broker.listeners.public.port);
  await broker.admin.publish({ name: "Backend", externalUrl: broker.plainUrl, internalUrl: `${backend}/` });
  const connector = await newConnector(broker, folder);
  started.defer(async () => void await connector.child.stop(0));
  await waitForExchange(`${broker.plainUrl}small`);
  const running = started.move();
  return {
    origin: broker.plainUrl.replace(/\/$/, ""),
    broker,
    connector,
    relay,
    check() {
      for (const { child } of [broker, connector]) {
        if (child.exit !== null) throw child.died("during the benchmark");
      }
    },
    stop: () => running.disposeAsync(),
  };
}
