import { once } from "node:events";
import { createServer, get, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { median, quantile } from "../measure/statistics.ts";
import type { Line, Row } from "../row.ts";
import { startNodeHop } from "../stage/node_hop.ts";

/** Pause between two events, in milliseconds: by then everybody is idle again. */
const EVERY_MS = 20;
const EVENTS = 300;
const EVENTS_QUICK = 30;
const WARM_UP = 10;

/** Server-sent events, one at a time: what is between adds to each. */
export const events: Row = {
  name: "events",
  summary: `one server-sent event every ${EVERY_MS} ms: time from the backend to the user`,
  async run({ stage, quick, rounds, progress }) {
    await using things = new AsyncDisposableStack();
    const source = await startSource();
    things.defer(() => source.stop());
    const hop = await startNodeHop(source.origin);
    things.defer(() => hop.stop());
    const product = await stage.product();
    const app = `${product.origin}/events`;
    await product.broker.admin.publish({
      name: "Events",
      externalUrl: app,
      internalUrl: `${source.origin}/`,
    });
    const ways = [["direct", source.origin], ["Node hop", hop.origin], ["Sallyport", app]] as const;
    const times = new Map<string, number[]>(ways.map(([name]) => [name, []]));
    for (let round = 1; round <= rounds; round++) {
      for (const [name, origin] of ways) {
        progress(`events: round ${round} of ${rounds}, ${name}`);
        times.get(name)!.push(...await source.listen(`${origin}/`, quick ? EVENTS_QUICK : EVENTS));
      }
    }
    product.check();
    const direct = median(times.get("direct")!);
    const lines: Line[] = ways.map(([name]) => {
      const all = times.get(name)!;
      const figures = {
        "p50 ms": median(all),
        "p99 ms": quantile(all, 0.99),
        "added ms": median(all) - direct,
      };
      return { name, figures };
    });
    return { title: events.summary, lines, bars: [], notes: [] };
  },
};

/** The backend and its user, in one process, so that one clock sees both ends of an event. */
interface Source {
  origin: string;
  /** Milliseconds that each of so many events took to a user at `url`. */
  listen(url: string, count: number): Promise<number[]>;
  stop(): Promise<void>;
}

async function startSource(): Promise<Source> {
  let opened = (_: ServerResponse): void => {};
  const server = createServer((request, response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    // A comment: the Node hop keeps a head until there is a body.
    response.write(":\n\n");
    request.resume();
    opened(response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async listen(url, count) {
      const stream = new Promise<ServerResponse>((resolve) => opened = resolve);
      const response = await eventStream(url);
      const sender = await stream;
      const times: number[] = [];
      for (let event = -WARM_UP; event < count; event++) {
        await pause(EVERY_MS);
        const arrived = once(response, "data");
        const sent = performance.now();
        sender.write(`data: ${event}\n\n`);
        await arrived;
        if (event >= 0) times.push(performance.now() - sent);
      }
      response.destroy();
      return times;
    },
    async stop() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** The response of a stream of events at `url`; until the app is there another one answers. */
async function eventStream(url: string): Promise<IncomingMessage> {
  for (let tries = 0;; tries++) {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    get(url, { agent: false }, resolve).once("error", reject);
    const response = await promise;
    if (response.headers["content-type"] === "text/event-stream") return response;
    response.destroy();
    if (tries === 50) throw new Error(`No events at ${url}: status ${response.statusCode}`);
    await pause(100);
  }
}
