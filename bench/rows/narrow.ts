import { quantile } from "../measure/statistics.ts";
import { atMost, type Row } from "../row.ts";
import { LARGE_BYTES } from "../stage/nginx.ts";

/** 16 Mbit/s. */
const BYTES_PER_SECOND = 2_000_000;

/** A narrow line that one download fills: what is left for short requests beside it. */
export const narrow: Row = {
  name: "narrow",
  summary: "16 Mbit/s between connector and broker, filled by one download",
  async run({ stage, quick, progress }) {
    const forMs = quick ? 3_000 : 180_000;
    const product = await stage.freshProduct({ delayMs: 0, bytesPerSecond: BYTES_PER_SECOND });
    const load = await stage.load();
    const bulk = await stage.anotherLoad();
    try {
      const before = await product.relay!.accepted();
      const stopped = { bulk: false };
      const started = performance.now();
      // It ends with the worker that it runs in: 100 MB take 50 s on this line.
      const downloads = bulk.download({
        url: `${product.origin}/large`,
        bytes: LARGE_BYTES,
        clients: 1,
        forMs,
      })
        .catch((error) => {
          if (!stopped.bulk) throw error;
        });
      progress(`short requests beside a download, ${forMs / 1000} s`);
      const probing = load.probe({ url: `${product.origin}/small`, everyMs: 100, forMs });
      const short = await Promise.race([probing, downloads.then(() => probing)]);
      const seconds = (performance.now() - started) / 1000;
      const reconnects = await product.relay!.accepted() - before;
      product.check();
      stopped.bulk = true;
      await bulk.stop();
      await downloads;
      return {
        title: narrow.summary,
        lines: [{
          name: "short requests",
          figures: {
            "p50 ms": quantile(short, 0.5),
            "p99 ms": quantile(short, 0.99),
            requests: short.length,
            seconds,
          },
        }],
        bars: [
          atMost("short requests, p50", quantile(short, 0.5), 500, "ms"),
          atMost(`reconnects in ${Math.round(seconds)} s`, reconnects, 0),
        ],
        notes: quick
          ? [`the bar asks for 3 minutes without a reconnect; a quick run looks at ${forMs / 1000} s`]
          : [],
      };
    } finally {
      await bulk.stop();
      await product.stop();
    }
  },
};
