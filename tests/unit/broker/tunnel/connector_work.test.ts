import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectorWork } from "../../../../src/broker/tunnel/connector_work.ts";

const FLOODED = { code: "tunnel_flood", retryable: true };

/** How often it can be done at once. */
function times(act: () => void): number {
  for (let count = 0; count < 1_000_000; count++) {
    try {
      act();
    } catch (error) {
      assert.equal((error as { code?: string }).code, "tunnel_flood");
      return count;
    }
  }
  throw new Error("There is no bound");
}

test("work: each thing that a connector can have done has its bound", () => {
  const bounds: Record<string, (work: ConnectorWork) => void> = {
    tunnels: (work) => work.tunnel("c"),
    lanes: (work) => work.stream("c", "lane"),
    refusals: (work) => work.stream("c", "refusal"),
    "short messages": (work) => work.message("c", 60),
    "largest messages": (work) => work.message("c", 1024 * 1024),
    pulls: (work) => work.request("c", "config.pull"),
    "pulls of a group of 1,000": (work) => work.apps("c", 1_000),
    "pulls of a larger one": (work) => work.apps("c", 1_000_000),
    renewals: (work) => work.request("c", "certificate.renew"),
    "requests of no kind": (work) => work.request("c", "constructor"),
  };
  const found = Object.fromEntries(
    Object.entries(bounds).map(([what, act]) => {
      const work = new ConnectorWork(() => 0);
      return [what, times(() => act(work))];
    }),
  );
  assert.deepEqual(found, {
    tunnels: 100,
    lanes: 40_000,
    refusals: 2_000,
    "short messages": 40_000,
    "largest messages": 9,
    pulls: 800,
    "pulls of a group of 1,000": 40,
    "pulls of a larger one": 8,
    renewals: 200,
    "requests of no kind": 4_000,
  });
});

test("work: who has had too much done is refused on new tunnels, too, for a while; others are not", () => {
  let now = 0;
  const work = new ConnectorWork(() => now);
  times(() => work.message("c", 60));
  assert.throws(() => work.tunnel("c"), FLOODED);
  work.tunnel("d");
  now = 199;
  assert.throws(() => work.tunnel("c"), FLOODED);
  now = 200;
  work.tunnel("c");
  assert.throws(() => work.message("c", 60), FLOODED);
});

test("work: all backends of 10,000 apps out of reach, said every 20 s, are no flood", () => {
  let now = 0;
  const work = new ConnectorWork(() => now);
  work.tunnel("c");
  work.apps("c", 10_000);
  for (; now < 600_000; now += 20_000) for (let i = 0; i < 10_000; i++) work.message("c", 80);
});
