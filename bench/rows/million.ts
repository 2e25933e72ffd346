import { rssMb } from "../measure/process.ts";
import { wrk } from "../measure/wrk.ts";
import type { Line, Row } from "../row.ts";
import { growthBars } from "./growth.ts";

/** Many requests: does anything stay behind? */
export const million: Row = {
  name: "million",
  summary: "1,000,000 requests: memory at the end against memory after the first tenth",
  async run({ stage, quick, progress }) {
    const total = quick ? 15_000 : 1_000_000;
    const product = await stage.ownProduct(null, quick);
    try {
      const rss = () => ({
        broker: rssMb(product.broker.child.pid),
        connector: rssMb(product.connector.child.pid),
      });
      let early: Record<string, number> | null = null;
      let done = 0;
      while (done < total) {
        progress(`${done.toLocaleString("en-US")} of ${total.toLocaleString("en-US")}`);
        // The first tenth must not be overshot by much.
        const seconds = quick || early === null ? 1 : 5;
        const { requests } = await wrk({ url: `${product.origin}/small`, clients: 64, seconds });
        done += requests;
        if (early === null && done >= total / 10) early = rss();
      }
      product.check();
      const late = rss();
      const lines: Line[] = [
        { name: "after the first tenth", figures: {}, rssMb: early! },
        { name: "at the end", figures: { requests: done }, rssMb: late },
      ];
      return {
        title: million.summary,
        lines,
        bars: growthBars(early!, late),
        notes: quick
          ? [`a quick run makes ${done.toLocaleString("en-US")} requests only: too few to tell`]
          : [],
      };
    } finally {
      await product.stop();
    }
  },
};
