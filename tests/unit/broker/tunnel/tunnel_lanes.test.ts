import assert from "node:assert/strict";
import type { ServerHttp2Stream } from "node:http2";
import { test } from "node:test";
import { DataPlaneCounters } from "../../../../src/broker/metrics/counters.ts";
import { DEFAULT_PROBE_TIMES } from "../../../../src/broker/tunnel/probe.ts";
import { TunnelLanes, type TunnelOfLanes } from "../../../../src/broker/tunnel/tunnel_lanes.ts";
import { Backlog } from "../../../../src/tunnel/backlog.ts";
import { CreditBudget } from "../../../../src/tunnel/credit_budget.ts";
import { FlushQueue } from "../../../../src/tunnel/flush_queue.ts";
import { wire } from "../../tunnel/wire.ts";

/** A tunnel that offers its lanes to nobody. */
function tunnel(): TunnelOfLanes {
  return {
    budget: new CreditBudget(1_000_000),
    flushes: new FlushQueue(),
    backlog: new Backlog(),
    roundTripMs: 0,
    isDraining: false,
    received: () => {},
    offer: () => false,
    askForLanes: () => {},
    laneLost: () => {},
  };
}

test("lanes that nobody needed for 60 s are retired, once a minute, until they are disposed of", (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  t.after(() => t.mock.timers.reset()); // Deno does not do that by itself.
  const lanes = new TunnelLanes(tunnel(), 1_000, new DataPlaneCounters(), DEFAULT_PROBE_TIMES);
  const streams = Array.from({ length: 100 }, () => wire().broker);
  t.after(() => streams.forEach((stream) => stream.destroy()));
  const add = (from: number, to: number) => {
    for (const stream of streams.slice(from, to)) lanes.add(stream as unknown as ServerHttp2Stream);
  };
  const retired = () => streams.filter(({ writableEnded }) => writableEnded).length;
  add(0, 40);
  t.mock.timers.tick(60_000);
  assert.equal(retired(), 0, "they were not there for the whole minute");
  t.mock.timers.tick(59_999);
  assert.equal(retired(), 0);
  t.mock.timers.tick(1);
  assert.equal(retired(), 24, "16 stay");
  add(40, 100);
  lanes[Symbol.dispose]();
  t.mock.timers.tick(600_000);
  assert.equal(retired(), 24);
});
