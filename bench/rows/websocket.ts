import { setTimeout as pause } from "node:timers/promises";
import { MESSAGE_BYTES } from "../load/websockets.ts";
import { rssMb } from "../measure/process.ts";
import { atLeast, type Row, type RowContext } from "../row.ts";
import type { Load } from "../stage/load.ts";
import { startNodeHop } from "../stage/node_hop.ts";
import type { Contender } from "../stage/stage.ts";
import { startWebsocketBackend } from "../stage/websocket_backend.ts";
import { inTurns, productLine } from "./turns.ts";

const SOCKETS = 64;
/** How many are opened to see what an idle one costs. */
const IDLE = 2_000;
const IDLE_QUICK = 300;
/** What an idle one may cost each process, in KB. */
const MOST_KB = 60;

/** Messages on WebSockets, and what those cost that are silent. */
export const websocket: Row = {
  name: "websocket",
  summary: `WebSocket echo of ${MESSAGE_BYTES}-byte messages, ${SOCKETS} sockets`,
  async run(context) {
    await using things = new AsyncDisposableStack();
    const { stage, quick } = context;
    const backend = await startWebsocketBackend();
    things.defer(() => backend.stop());
    const hop = await startNodeHop(backend.origin);
    things.defer(() => hop.stop());
    // Its own: what idle ones cost shows only where nothing else has made the heap grow.
    const product = quick ? await stage.product() : await stage.freshProduct(null);
    if (!quick) things.defer(() => product.stop());
    const app = `${product.origin}/websocket`;
    await product.broker.admin.publish({
      name: "WebSockets",
      externalUrl: app,
      internalUrl: `${backend.origin}/`,
    });
    const processes = { broker: product.broker.child.pid, connector: product.connector.child.pid };
    const both: Contender[] = [
      { name: "Node hop", origin: hop.origin, processes: { hop: hop.pid } },
      { name: "Sallyport", origin: app, processes },
    ];
    const load = await stage.load();
    await untilPublished(load, `${app}/`);
    const turn = async ({ origin }: Contender, warmUp: boolean) => {
      const forMs = quick ? 700 : warmUp ? 1_000 : 5_000;
      const { messages, ms } = await load.websockets({ url: `${origin}/`, sockets: SOCKETS, forMs });
      return { work: messages, figures: { "messages/s": messages / ms * 1_000 } };
    };
    // Before the load: a heap that has grown for that would hide it.
    const note = await idleCost(context, app, processes);
    const lines = await inTurns(context, websocket.name, {
      contenders: both,
      kind: "messages",
      load: load.pid,
      backend: backend.pid,
      turn,
    });
    product.check();
    return {
      title: websocket.summary,
      cpuUnit: "us/message",
      lines,
      bars: [atLeast("messages/s", productLine(lines).ratio!, 0.5, "x Node hop")],
      notes: [note],
    };
  },
};

/** Resolves when a WebSocket opens at `url`: until the app is there another one answers. */
async function untilPublished(load: Load, url: string): Promise<void> {
  for (let tries = 0;; tries++) {
    try {
      await load.websockets({ url, sockets: 1, forMs: 0 });
      await load.dropWebsockets();
      return;
    } catch (error) {
      if (tries === 50) throw error;
      await pause(100);
    }
  }
}

/** Resident memory before and after. */
async function idleCost(
  { stage, quick, progress }: RowContext,
  app: string,
  processes: Readonly<Record<string, number>>,
): Promise<string> {
  const count = quick ? IDLE_QUICK : IDLE;
  progress(`opening ${count} idle WebSockets`);
  const clients = await stage.anotherLoad();
  const before = Object.values(processes).map(rssMb);
  await clients.websockets({ url: `${app}/`, sockets: count, forMs: 0 });
  if (!quick) await pause(2_000);
  const after = Object.values(processes).map(rssMb);
  const lost = await clients.dropWebsockets();
  await clients.stop();
  const each = Object.keys(processes).map((name, i) =>
    `${name} ${((after[i]! - before[i]!) * 1_000 / count).toFixed(1)} KB`
  );
  const rough = quick ? "; a quick run opens too few to tell" : "";
  return `${count} idle WebSockets cost ${
    each.join(", ")
  } each (expected: under ${MOST_KB}${rough}); ${lost} were lost`;
}
