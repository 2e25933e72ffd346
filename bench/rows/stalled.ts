import { setTimeout as pause } from "node:timers/promises";
import { rssMb } from "../measure/process.ts";
import { median, quantile } from "../measure/statistics.ts";
import { atLeast, atMost, type Line, type Row } from "../row.ts";
import { LARGE_BYTES } from "../stage/nginx.ts";

/** How many read slowly; in a quick run, which could not even start a thousand in its time. */
const CLIENTS = 1_000;
const CLIENTS_QUICK = 30;
const BYTES_PER_SECOND = 1_000;
const DELAY_MS = 50;
const SAMPLE_MS = 250;

/**
 * What the kernel takes of a response for the connector's sockets: on this machine it is the sum of what in fact several have
 * (see slow_readers.pl).
 */
const BACKEND = { sendBufferBytes: 64 * 1024 };

/** Many who hardly read, and one who does: what the many cost, and what is left for the one. */
export const stalled: Row = {
  name: "stalled",
  summary: `1,000 clients that read 1 KB/s of large responses; one fast download at ${
    2 * DELAY_MS
  } ms round trip`,
  async run({ stage, quick, progress }) {
    const clients = quick ? CLIENTS_QUICK : CLIENTS;
    const product = await stage.freshProduct(
      { delayMs: DELAY_MS, bytesPerSecond: 0 },
      await stage.ownBackend(stalled.name, BACKEND),
    );
    const { origin } = product;
    const load = await stage.load();
    const slow = await stage.anotherLoad();
    const processes = { broker: product.broker.child.pid, connector: product.connector.child.pid };
    const most: Record<string, number> = {};
    const over = new AbortController();
    const watching = (async () => {
      while (!over.signal.aborted) {
        for (const [name, pid] of Object.entries(processes)) {
          most[name] = Math.max(most[name] ?? 0, rssMb(pid));
        }
        await pause(SAMPLE_MS, undefined, { signal: over.signal }).catch(() => {});
      }
    })();
    try {
      progress(`starting ${clients} slow readers`);
      const slowOnes = { url: `${origin}/large`, clients, bytesPerSecond: BYTES_PER_SECOND };
      const firstBytes = await slow.slowReaders(slowOnes);
      const speeds: number[] = [];
      const short: number[] = [];
      const until = performance.now() + (quick ? 0 : 60_000);
      do {
        progress("one fast download beside them");
        const { ms } = await load.download({
          url: `${origin}/large`,
          bytes: LARGE_BYTES,
          clients: 1,
          forMs: 0,
        });
        speeds.push(LARGE_BYTES / 1e3 / ms);
        progress("short requests beside them");
        short.push(...await load.probe({ url: `${origin}/small`, everyMs: 20, forMs: quick ? 500 : 1_000 }));
      } while (performance.now() < until);
      const lost = await slow.stopSlowReaders();
      product.check();
      const lines: Line[] = [
        { name: "fast download", figures: { "MB/s": median(speeds) } },
        {
          name: "first bytes of the slow",
          figures: { "p50 ms": median(firstBytes), "p99 ms": quantile(firstBytes, 0.99) },
        },
        { name: "short requests", figures: { "p50 ms": median(short), "p99 ms": quantile(short, 0.99) } },
        { name: "most memory", figures: {}, rssMb: most },
      ];
      return {
        title: stalled.summary,
        lines,
        bars: [
          atMost("RSS of the broker", most.broker, 400, "MB"),
          atMost("RSS of the connector", most.connector, 400, "MB"),
          atLeast("fast download", median(speeds), 12, "MB/s"),
          atLeast("short requests answered", short.length, 1),
          atMost("slow readers cut off", lost, 0),
        ],
        notes: [
          "slow readers have segments of 1,460 bytes, as users have; the backend's socket takes 64 KB ahead",
          ...(quick
            ? [`a quick run has ${clients} slow readers for as long as one fast download takes`]
            : []),
        ],
      };
    } finally {
      over.abort();
      await watching;
      await slow.stop();
      await product.stop();
    }
  },
};
