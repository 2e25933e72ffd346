import { median, quantile } from "../measure/statistics.ts";
import { atLeast, atMost, type Line, type Row } from "../row.ts";
import { LARGE_BYTES } from "../stage/nginx.ts";

/** What the relay adds each way, and the tunnel round trip that comes of it, in milliseconds. */
const DELAY_MS = 50;
const ROUND_TRIP_MS = 2 * DELAY_MS;
const BURST = 500;

/** A distant broker: bulk, first bytes, and a burst that comes out of nothing. */
export const delay: Row = {
  name: "delay",
  summary: `${DELAY_MS} ms added each way between connector and broker`,
  async run({ stage, quick, rounds, progress }) {
    const product = await stage.ownProduct({ delayMs: DELAY_MS, bytesPerSecond: 0 }, quick);
    const { origin } = product;
    const load = await stage.load();
    const down: number[] = [];
    const up: number[] = [];
    const bursts: { half: number; all: number }[] = [];
    let short: number[] = [];
    try {
      progress("short requests");
      short = await load.probe({ url: `${origin}/small`, everyMs: 20, forMs: quick ? 1_000 : 10_000 });
      for (let round = 1; round <= rounds; round++) {
        progress(`round ${round} of ${rounds}, ${BURST} requests at once`);
        const times = await load.burst({ url: `${origin}/small`, clients: BURST });
        bursts.push({ half: median(times), all: Math.max(...times) });
        progress(`round ${round} of ${rounds}, download`);
        const { ms: downMs } = await load.download({
          url: `${origin}/large`,
          bytes: LARGE_BYTES,
          clients: 1,
          forMs: 0,
        });
        down.push(LARGE_BYTES / 1e3 / downMs);
        progress(`round ${round} of ${rounds}, upload`);
        const { ms: upMs } = await load.upload({ url: `${origin}/upload`, bytes: LARGE_BYTES, forMs: 0 });
        up.push(LARGE_BYTES / 1e3 / upMs);
      }
      product.check();
    } finally {
      await product.stop();
    }
    // The first burst meets a connector whose supply of lanes was never asked for more.
    const fromIdle = bursts[0];
    const lines: Line[] = [
      { name: "download", figures: { "MB/s": median(down) } },
      { name: "upload", figures: { "MB/s": median(up) } },
      { name: "short requests", figures: { "p50 ms": median(short), "p99 ms": quantile(short, 0.99) } },
      { name: `burst of ${BURST}`, figures: { "p50 ms": fromIdle.half, "last ms": fromIdle.all } },
    ];
    return {
      title: delay.summary,
      lines,
      bars: [
        atLeast("100 MB download", median(down), 30, "MB/s"),
        atLeast("100 MB upload", median(up), 30, "MB/s"),
        atMost("first byte of a short request, p50", median(short), ROUND_TRIP_MS + 15, "ms"),
        atMost(
          `last first byte of a burst of ${BURST} from idle`,
          fromIdle.all,
          3 * ROUND_TRIP_MS + 200,
          "ms",
        ),
      ],
      notes: [],
    };
  },
};
