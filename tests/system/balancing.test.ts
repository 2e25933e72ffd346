/** Who of a group serves a request, on real processes: by each way of balancing, and by affinity as long as it can be. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FaultStage } from "../faults/fault_stage.ts";
import { until } from "../support/until.ts";

const REQUESTS = 24;

/** Exchanges that each connector has carried. */
async function carried(stage: FaultStage): Promise<number[]> {
  const all = await Promise.all(stage.connectors.map(async ({ id }) => {
    const { tunnels } = await stage.broker.admin.request("GET", `connectors/${id}`) as {
      tunnels: { exchanges: number }[];
    };
    return tunnels.reduce((sum, { exchanges }) => sum + exchanges, 0);
  }));
  return all;
}

/** One after the other; how many of them each connector has carried. */
async function shares(stage: FaultStage, headers: Record<string, string> = {}): Promise<number[]> {
  const before = await carried(stage);
  for (let i = 0; i < REQUESTS; i++) {
    const response = await fetch(stage.url, { headers });
    assert.equal(await response.text(), "ok\n");
    assert.equal(response.headers.get("set-cookie"), null);
  }
  const after = await carried(stage);
  return after.map((count, i) => count - before[i]!);
}

/** The cookie with which the user comes back to the connector that has served this. */
async function cookieOf(stage: FaultStage, headers: Record<string, string> = {}): Promise<string> {
  const response = await fetch(stage.url, { headers });
  assert.equal(response.status, 200);
  return response.headers.get("set-cookie")!.split(";")[0]!;
}

for (const balancing of ["least_in_flight", "round_robin"] as const) {
  test(`${balancing}: two idle connectors take turns`, async () => {
    await using stage = await FaultStage.start({ connectors: 2, app: { balancing } });
    assert.deepEqual(await shares(stage), [REQUESTS / 2, REQUESTS / 2]);
  });
}

test("latency: the connector with the slow link is left alone", async () => {
  await using stage = await FaultStage.start({ connectors: 2, app: { balancing: "latency" } });
  stage.connectors[0]!.relay.down.delayMs = 150;
  let slow: number | undefined;
  // A connector that stood still with the machine is taken for a slow one, too, until that is forgotten.
  await until("the slow one is left alone", async () => ([slow] = await shares(stage))[0]! <= 4, {
    more: () => `${slow} of ${REQUESTS} on the slow one`,
  });
});

test("affinity by cookie: a user stays with one connector; when that is killed the next one takes over, and the user stays there", async () => {
  await using stage = await FaultStage.start({ connectors: 2, app: { affinity: "cookie" } });
  const cookie = await cookieOf(stage);
  const own = await shares(stage, { cookie });
  const first = own.indexOf(REQUESTS);
  assert.notEqual(first, -1, `all on one: ${own}`);
  const { child } = stage.connectors[first]!.process;
  child.signal("SIGKILL");
  await child.exited;
  const next = await cookieOf(stage, { cookie });
  assert.notEqual(next, cookie);
  assert.equal((await shares(stage, { cookie: next }))[1 - first], REQUESTS);
  // The one that comes back does not take this user back.
  await stage.startAgain(first);
  await until("it is back", async () => (await stage.tunnelsOf(first)).length > 0);
  assert.equal((await shares(stage, { cookie: next }))[1 - first], REQUESTS);
});

test("affinity by address: a user's address stays with one connector, and moves on when that is killed", async () => {
  await using stage = await FaultStage.start({ connectors: 2, app: { affinity: "address" } });
  const own = await shares(stage);
  const first = own.indexOf(REQUESTS);
  assert.notEqual(first, -1, `all on one: ${own}`);
  const { child } = stage.connectors[first]!.process;
  child.signal("SIGKILL");
  await child.exited;
  assert.equal((await fetch(stage.url)).status, 200);
  assert.equal((await shares(stage))[1 - first], REQUESTS);
});
