import assert from "node:assert/strict";
import { test } from "node:test";
import { affinityWeight, connectorTag } from "../../../../src/broker/registry/affinity.ts";
import { type Candidate, chooseTunnel, type Circumstances } from "../../../../src/broker/registry/balance.ts";
import type { LaneWaiter } from "../../../../src/broker/registry/port.ts";
import { type Affinity, type Balancing, spreadOf } from "../../../../src/broker/registry/spread.ts";

const WELL: Circumstances = { isUnwell: () => false, latency: () => 0 };

function tunnel(connectorId: string, busy = 0, bulk = 0): Candidate {
  return { connectorId, busy, bulk };
}

function waiter(
  options: { balancing?: Balancing; affinity?: Affinity; affinityKey?: string; tried?: string[] } = {},
): LaneWaiter {
  const { affinityKey = "", tried = [], ...rest } = options;
  return {
    spread: spreadOf({ id: "app", groupId: "g", ...rest }),
    affinityKey,
    tried,
    laneReady() {},
    laneFailed() {},
  };
}

function choose(tunnels: Candidate[], who: LaneWaiter, circumstances = WELL): string {
  return chooseTunnel(tunnels, who, circumstances).connectorId;
}

test("least in flight: the least busy; those equally busy take turns", () => {
  const who = waiter();
  assert.equal(choose([tunnel("a", 3), tunnel("b", 1), tunnel("c", 2)], who), "b");
  const equal = [tunnel("a"), tunnel("b"), tunnel("c")];
  const chosen = Array.from({ length: 6 }, () => choose(equal, who));
  assert.deepEqual([...chosen].sort(), ["a", "a", "b", "b", "c", "c"]);
});

test("round robin: each in turn, however busy", () => {
  const who = waiter({ balancing: "round_robin" });
  const all = [tunnel("a", 9), tunnel("b", 0), tunnel("c", 5)];
  const chosen = Array.from({ length: 6 }, () => choose(all, who)).join("");
  assert.match(chosen, /^(abcabc|bcabca|cabcab)$/);
});

test("round robin: bulk costs a connector no turn, but its tunnel without takes it", () => {
  const who = waiter({ balancing: "round_robin" });
  const all = [tunnel("a", 1, 1), tunnel("a", 0), tunnel("b", 2, 2)];
  const chosen = Array.from({ length: 6 }, () => chooseTunnel(all, who, WELL));
  assert.equal(chosen.filter((one) => one === all[0]).length, 0);
  assert.equal(chosen.filter((one) => one === all[2]).length, 2);
});

test("round robin: the turns of tunnels with bulk are spread evenly over all tunnels of their connector without", () => {
  const who = waiter({ balancing: "round_robin" });
  const all = [
    ...[tunnel("a", 1, 1), tunnel("a"), tunnel("a"), tunnel("a", 1, 1)],
    ...[tunnel("b", 1, 1), tunnel("b"), tunnel("b"), tunnel("b")],
  ];
  const taken = all.map(() => 0);
  for (let i = 0; i < 8 * 6; i++) taken[all.indexOf(chooseTunnel(all, who, WELL))]! += 1;
  assert.deepEqual(taken, [0, 12, 12, 0, 0, 8, 8, 8]);
});

test("latency: slowness counts as much as load, and who is not known yet is tried", () => {
  const who = waiter({ balancing: "latency" });
  const latency = (_app: string, id: string) => ({ slow: 100, quick: 10 })[id] ?? 0;
  assert.equal(choose([tunnel("slow"), tunnel("quick")], who, { ...WELL, latency }), "quick");
  assert.equal(choose([tunnel("slow"), tunnel("quick", 20)], who, { ...WELL, latency }), "slow");
  assert.equal(choose([tunnel("slow"), tunnel("quick"), tunnel("new", 5)], who, { ...WELL, latency }), "new");
});

test("bulk is avoided by short exchanges where there is another tunnel", () => {
  assert.equal(choose([tunnel("a", 1, 1), tunnel("a2", 7, 0)], waiter()), "a2");
  assert.equal(choose([tunnel("a", 2, 1), tunnel("b", 1, 1)], waiter()), "b");
});

test("a connector that cannot reach the backend, or has failed this request, is the last choice, in that order", () => {
  const isUnwell = (_app: string, id: string) => id === "unwell";
  const all = [tunnel("tried"), tunnel("unwell"), tunnel("busy", 99, 3)];
  const who = waiter({ tried: ["tried"] });
  assert.equal(choose(all, who, { ...WELL, isUnwell }), "busy");
  assert.equal(choose(all.slice(0, 2), who, { ...WELL, isUnwell }), "unwell");
  assert.equal(choose(all.slice(0, 1), who, { ...WELL, isUnwell }), "tried");
});

test("affinity by cookie: the connector that is named, its least busy tunnel; another when it is gone or unwell", () => {
  const all = [tunnel("a", 9), tunnel("a", 5), tunnel("b", 0)];
  const who = waiter({ affinity: "cookie", affinityKey: connectorTag("a") });
  const chosen = chooseTunnel(all, who, WELL);
  assert.deepEqual([chosen.connectorId, chosen.busy], ["a", 5]);
  assert.equal(choose([tunnel("b"), tunnel("c")], who).length, 1);
  assert.equal(choose(all, who, { ...WELL, isUnwell: (_app, id) => id === "a" }), "b");
});

test("affinity by address: always the same one; when one goes only its own users move", () => {
  const all = ["a", "b", "c", "d"].map((id) => tunnel(id));
  const keys = Array.from({ length: 2_000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`);
  const at = (tunnels: Candidate[]) =>
    keys.map((affinityKey) => choose(tunnels, waiter({ affinity: "address", affinityKey })));
  const before = at(all);
  for (const id of ["a", "b", "c", "d"]) {
    const share = before.filter((one) => one === id).length / keys.length;
    assert.ok(share > 0.18 && share < 0.32, `${id} has ${share}`);
  }
  const after = at(all.filter(({ connectorId }) => connectorId !== "b"));
  for (const [i, id] of before.entries()) if (id !== "b") assert.equal(after[i], id);
});

test("affinity weights differ by key and by connector", () => {
  assert.notEqual(affinityWeight("k", "a"), affinityWeight("k", "b"));
  assert.notEqual(affinityWeight("k", "a"), affinityWeight("l", "a"));
  assert.match(connectorTag("a"), /^[0-9a-f]{16}$/);
});
