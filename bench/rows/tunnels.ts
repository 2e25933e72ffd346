import { registerConnector } from "../../src/demo/processes.ts";
import { rssMb } from "../measure/process.ts";
import type { Line, Row } from "../row.ts";
import { Worker } from "../stage/worker.ts";
import type { TunnelsOptions } from "../tunnels/main.ts";
import { growthBars } from "./growth.ts";

const STEPS = 10;
/**
 * Work done before counting starts, as a multiple of the work counted. Measured: the broker's heap grows by some 50 KB a
 * tunnel until V8 collects it all for the first time, after about 2,500; from there on it goes up and down between two
 * bounds. Before that time nobody can tell what stays.
 */
const WARM_UP = 2.5;
/** Tunnels for each identity: a connector that opens many more in a minute is refused for a while (`tunnel_flood`). */
const TUNNELS_EACH = 60;

/** Tunnels that come and go: does anything of them stay behind? */
export const tunnels: Row = {
  name: "tunnels",
  summary:
    "1,000 tunnels opened and closed, one after another: memory at the end against memory after the first tenth",
  async run({ stage, quick, progress }) {
    const count = quick ? 40 : 1_000;
    await using things = new AsyncDisposableStack();
    const product = await stage.ownProduct(null, quick);
    things.defer(() => product.stop());
    const all = quick ? count : count * (1 + WARM_UP);
    const stateDirs = Array.from(
      { length: Math.ceil(all / TUNNELS_EACH) },
      (_, i) => stage.path(`tunnels-${i}`),
    );
    for (const [i, stateDir] of stateDirs.entries()) {
      progress(`registering ${i + 1} of ${stateDirs.length}`);
      await registerConnector({ stateDir, token: await product.broker.admin.enrolmentToken() });
    }
    const worker = new Worker("tunnels/main.ts", ["--expose-gc"]);
    things.defer(() => worker.stop());

    const openAndClose = (count: number) => {
      return worker.call("openAndClose", { stateDirs, count } satisfies TunnelsOptions);
    };
    const rss = async () => {
      await worker.call("collect");
      return { broker: rssMb(product.broker.child.pid), connector: rssMb(worker.pid) };
    };
    progress("warming up");
    if (!quick) await openAndClose(count * WARM_UP);
    let early = await rss();
    const started = performance.now();
    for (let step = 1; step <= STEPS; step++) {
      progress(`${count / STEPS * (step - 1)} of ${count}`);
      await openAndClose(count / STEPS);
      if (step === 1) early = await rss();
    }
    const each = (performance.now() - started) / count;
    product.check();
    const late = await rss();
    const lines: Line[] = [
      { name: "after the first tenth", figures: {}, rssMb: early },
      { name: "at the end", figures: { tunnels: count, "ms each": each }, rssMb: late },
    ];
    const notes = quick ? [`a quick run opens ${count} tunnels only: too few to tell`] : [];
    return { title: tunnels.summary, lines, bars: growthBars(early, late), notes };
  },
};
