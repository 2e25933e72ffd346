import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { LanePort } from "../../../../src/broker/registry/port.ts";
import { type RegisteredTunnel, Registry } from "../../../../src/broker/registry/registry.ts";
import { spreadOf } from "../../../../src/broker/registry/spread.ts";
import { CreditBudget } from "../../../../src/tunnel/credit_budget.ts";

const settings = { waitForConnectorMs: 300, waitForConnectorMax: 3, waitForLaneMax: 5 };

function registry(t: TestContext, more: Partial<typeof settings> = {}): Registry {
  const made = new Registry(new CreditBudget(1_000), { ...settings, ...more });
  t.after(() => made[Symbol.dispose]());
  return made;
}

/** A tunnel with lanes that are only names. */
class Tunnel implements RegisteredTunnel {
  readonly connectorId: string;
  readonly lanes: LanePort[];
  readonly wanted: number[] = [];
  busy = 0;
  bulk = 0;
  constructor(connectorId: string, ...lanes: string[]) {
    this.connectorId = connectorId;
    this.lanes = lanes.map(lane);
  }
  takeLane(): LanePort | undefined {
    return this.lanes.pop();
  }
  wantLanes(count: number): void {
    this.wanted.push(count);
  }
}

function lane(name: string): LanePort {
  return { name } as unknown as LanePort;
}

/** Someone who waits for a lane, and what came of it. */
class Waiter {
  readonly affinityKey = "";
  readonly tried: string[] = [];
  readonly spread;
  result = "";
  readonly done: Promise<string>;
  #resolve: (result: string) => void = () => {};
  constructor(groupId: string, appId: string) {
    this.spread = spreadOf({ id: appId, groupId });
    this.done = new Promise((resolve) => this.#resolve = resolve);
  }
  laneReady(got: LanePort, connectorId: string): void {
    this.#resolve(this.result = `${(got as unknown as { name: string }).name} of ${connectorId}`);
  }
  laneFailed(code: string): void {
    this.#resolve(this.result = code);
  }
}

function acquire(from: Registry, groupId = "g", appId = "app"): Waiter {
  const waiter = new Waiter(groupId, appId);
  from.acquire(waiter);
  return waiter;
}

test("a lane of the tunnel with the fewest exchanges is given at once", (t) => {
  const all = registry(t);
  const busy = Object.assign(new Tunnel("busy", "b1"), { busy: 9 });
  all.add("g", busy);
  all.add("g", new Tunnel("calm", "c1"));
  assert.equal(acquire(all).result, "c1 of calm");
  assert.equal(acquire(all).result, "b1 of busy", "the calm one has no lane left");
  assert.equal(all.waiting, 0);
});

test("a request of a group never gets a lane of another", (t) => {
  const all = registry(t);
  all.add("other", new Tunnel("c", "l1"));
  assert.equal(acquire(all).result, "");
  assert.equal(all.waiting, 1);
});

test("requests that wait for a connector ask it for as many lanes, and get them in order", (t) => {
  const all = registry(t);
  const first = acquire(all);
  const second = acquire(all);
  const tunnel = new Tunnel("c");
  all.add("g", tunnel);
  assert.deepEqual(tunnel.wanted, [2]);
  assert.equal(all.offer("g", tunnel, lane("l1")), true);
  assert.equal(all.offer("g", tunnel, lane("l2")), true);
  assert.equal(all.offer("g", tunnel, lane("l3")), false, "nobody waits");
  assert.deepEqual([first.result, second.result, all.waiting], ["l1 of c", "l2 of c", 0]);
});

test("lanes that were asked for are not asked for again", (t) => {
  const all = registry(t);
  const tunnel = new Tunnel("c");
  all.add("g", tunnel);
  acquire(all);
  acquire(all);
  all.offer("g", tunnel, lane("l1"));
  acquire(all);
  assert.deepEqual(tunnel.wanted, [1, 1, 1]);
});

test("when the tunnel that was asked is gone, another is asked for all who wait", (t) => {
  const all = registry(t);
  const [one, two] = [new Tunnel("one"), new Tunnel("two")];
  all.add("g", one);
  acquire(all);
  acquire(all);
  all.add("g", two);
  all.remove("g", one);
  all.remove("g", one);
  assert.deepEqual(two.wanted, [2]);
  assert.deepEqual(all.tunnelsOf("g"), [two]);
});

test("who waits too long is told so: no connector, or too few lanes", async (t) => {
  const all = registry(t, { waitForConnectorMs: 1 });
  assert.equal(await acquire(all).done, "no_connector");
  all.add("g", new Tunnel("c"));
  assert.equal(await acquire(all).done, "overloaded");
  assert.equal(all.waiting, 0);
});

test("nobody waits when the time to wait is 0", (t) => {
  const all = registry(t, { waitForConnectorMs: 0 });
  assert.equal(acquire(all).result, "no_connector");
});

test("no more may wait than the limits say", (t) => {
  const all = registry(t);
  for (let i = 0; i < 3; i++) assert.equal(acquire(all).result, "");
  assert.equal(acquire(all).result, "no_connector");
  all.add("g", new Tunnel("c"));
  acquire(all);
  acquire(all);
  assert.equal(acquire(all).result, "overloaded");
  assert.equal(all.waiting, 5);
});

test("each app of a group has its own share of those who wait for a connector", (t) => {
  const all = registry(t);
  for (let i = 0; i < 4; i++) acquire(all, "g", "crowded");
  assert.equal(all.waiting, 3);
  const other = acquire(all, "g", "quiet");
  assert.equal(other.result, "");
  assert.equal(acquire(all, "g", "crowded").result, "no_connector");
  // One that is served makes room for the next of its app.
  const tunnel = new Tunnel("c", "l1");
  all.add("g", tunnel);
  all.remove("g", tunnel);
  assert.equal(acquire(all, "g", "crowded").result, "");
  assert.equal(acquire(all, "g", "crowded").result, "no_connector");
});

test("who has given up is not called, and its lane goes to the next", (t) => {
  const all = registry(t);
  const [gone, stays] = [acquire(all), acquire(all)];
  all.cancel(gone);
  all.cancel(gone);
  assert.equal(all.waiting, 1);
  const tunnel = new Tunnel("c");
  all.add("g", tunnel);
  all.offer("g", tunnel, lane("l1"));
  assert.deepEqual([gone.result, stays.result], ["", "l1 of c"]);
});

test("at the end all who wait are told", (t) => {
  const all = registry(t);
  const waiters = [acquire(all), acquire(all, "other")];
  all[Symbol.dispose]();
  assert.deepEqual(waiters.map(({ result }) => result), ["no_connector", "no_connector"]);
});
