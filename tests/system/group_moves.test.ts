/** Connectors and apps that change their group while users are served: nobody but the administrator is to notice. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { FaultStage } from "../faults/fault_stage.ts";
import { OpenLoop, summarise } from "../faults/open_loop.ts";
import { Arrivals } from "../support/arrivals.ts";
import { until } from "../support/until.ts";

const RATE = 40;
const MOVES = 6;
const APP_MOVES = 30;
/** Requests of a load that have to be answered between two moves. */
const BETWEEN = 15;

/** A backend that answers at once, but below `/slow` begins its answer and ends it when told. */
async function backend(t: TestContext) {
  const held = new Set<ServerResponse>();
  const server = createServer((req, res) => {
    req.resume();
    if (!req.url!.endsWith("/slow")) return void res.end("ok");
    res.write("begun ");
    held.add(res);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const finish = () => {
    for (const res of held) res.end("done");
    held.clear();
  };
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, finish };
}

/** Two apps of each of two groups, each with a load of its own, POSTs among it. */
async function start(t: TestContext, connectors: number) {
  const stage = await FaultStage.start({ connectors });
  t.after(() => stage[Symbol.asyncDispose]());
  const { admin, plainUrl } = stage.broker;
  const { origin, finish } = await backend(t);
  const { id: other } = await admin.request("POST", "groups", { name: "Other" }) as { id: string };
  const connectorOf = (index: number) => `connectors/${stage.connectors[index]!.id}`;
  const { memberOf: { id: first } } = await admin.request("GET", connectorOf(0)) as {
    memberOf: { id: string };
  };
  const move = (index: number, groupId: string) => admin.request("PATCH", connectorOf(index), { groupId });
  const apps: { id: string; url: string }[] = [];
  for (const [i, groupId] of [first, first, other, other].entries()) {
    const url = new URL(`/app-${i}/`, plainUrl).href;
    const id = await admin.publish({
      name: `App ${i}`,
      externalUrl: url,
      internalUrl: `${origin}/`,
      settings: { groupId },
    });
    apps.push({ id, url });
  }
  await move(connectors - 1, other);
  const loads = apps.map(({ url }) => new OpenLoop({ url, rate: RATE, postEvery: 4 }));
  /** Resolves when each load has so many answers more. */
  const served = async (count: number): Promise<void> => {
    const enough = loads.map(({ shots }) => shots.length + count);
    await until(
      `each load has ${count} answers more`,
      () => loads.every(({ shots }, i) => shots.length >= enough[i]!),
    );
  };
  const stop = async () => {
    const all = await Promise.all(loads.map((load) => load.stop()));
    return all.map((shots) => summarise(shots));
  };
  return { stage, apps, first, other, move, served, stop, finish, admin, connectorOf };
}

test("a connector that is moved between groups and back under load costs no request, and finishes what it had begun", async (t) => {
  const { apps, first, other, move, served, stop, finish, admin, connectorOf } = await start(t, 3);
  const moving = 1;
  await served(BETWEEN);
  const whole = new Arrivals();
  let begun = 0;
  for (let i = 0; i < MOVES; i++) {
    // Of six at least one is on the connector that moves.
    const own = apps.slice(i % 2 === 0 ? 0 : 2).slice(0, 2);
    const slow = await Promise.all([...own, ...own, ...own].map(({ url }) => fetch(`${url}slow`)));
    begun += slow.length;
    const { tunnels } = await admin.request("GET", connectorOf(moving)) as {
      tunnels: { lanesBusy: number }[];
    };
    assert.ok(tunnels.some(({ lanesBusy }) => lanesBusy > 0), "it carries something");
    await move(moving, i % 2 === 0 ? other : first);
    await served(BETWEEN);
    finish();
    for (const response of slow) {
      assert.equal(await response.text(), "begun done");
      whole.add();
    }
  }
  assert.equal(whole.count, begun);
  for (const [i, { requests, outcomes }] of (await stop()).entries()) {
    assert.deepEqual(outcomes, {}, `app ${i}`);
    assert.ok(requests > MOVES * BETWEEN, String(requests));
  }
});

test("an app that is moved between groups and back under load costs no request", async (t) => {
  const { apps, first, other, served, stop, admin } = await start(t, 2);
  await served(BETWEEN);
  for (let i = 0; i < APP_MOVES; i++) {
    const groupId = i % 2 === 0 ? other : first;
    await admin.request("PATCH", `apps/${apps[0]!.id}`, { groupId });
    await served(3); // Soon enough that one change is still on its way when the next one comes.
  }
  for (const [i, { outcomes }] of (await stop()).entries()) assert.deepEqual(outcomes, {}, `app ${i}`);
});
