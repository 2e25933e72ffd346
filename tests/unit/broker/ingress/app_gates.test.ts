import assert from "node:assert/strict";
import { test } from "node:test";
import { AppGates, type TurnWaiter } from "../../../../src/broker/ingress/app_gates.ts";

function waiter(name: string, order: string[], then: () => void = () => {}): TurnWaiter {
  return {
    turnCame() {
      order.push(name);
      then();
    },
  };
}

test("gates: as many as may enter, as many as may wait, in the order of their coming", () => {
  const gates = new AppGates();
  const order: string[] = [];
  const enter = (name: string) => gates.enter("a", waiter(name, order), 2, 2);
  assert.deepEqual(["1", "2", "3", "4", "5"].map(enter), ["entered", "entered", "queued", "queued", "full"]);
  assert.equal(gates.enter("b", waiter("b", order), 2, 2), "entered");
  assert.equal(gates.waiting, 2);
  gates.leave("a", 2);
  gates.leave("a", 2);
  assert.deepEqual(order, ["3", "4"]);
  assert.equal(enter("6"), "queued");
  gates.leave("a", 2);
  gates.leave("a", 2);
  assert.deepEqual(order, ["3", "4", "6"]);
  gates.leave("a", 2);
  assert.equal(gates.waiting, 0);
  assert.equal(enter("7"), "entered");
});

test("gates: who gives up is not called, and makes room in the queue", () => {
  const gates = new AppGates();
  const order: string[] = [];
  const gone = waiter("gone", order);
  gates.enter("a", waiter("1", order), 1, 1);
  assert.equal(gates.enter("a", gone, 1, 1), "queued");
  gates.cancel("a", gone);
  assert.equal(gates.enter("a", waiter("2", order), 1, 1), "queued");
  gates.leave("a", 1);
  assert.deepEqual(order, ["2"]);
});

test("gates: a long queue of which each ends at once is gone through without recursion", () => {
  const gates = new AppGates();
  const order: string[] = [];
  gates.enter("a", waiter("first", order), 1, 0);
  for (let i = 0; i < 50_000; i++) {
    gates.enter("a", waiter(String(i), order, () => gates.leave("a", 1)), 1, 50_000);
  }
  gates.leave("a", 1);
  assert.equal(order.length, 50_000);
  assert.equal(gates.waiting, 0);
  assert.equal(gates.enter("a", waiter("next", order), 1, 0), "entered");
});

test("gates: a limit that was raised or taken away lets those go on that wait", () => {
  const gates = new AppGates();
  const order: string[] = [];
  gates.enter("a", waiter("1", order), 1, 3);
  for (const name of ["2", "3", "4"]) gates.enter("a", waiter(name, order), 1, 3);
  gates.leave("a", 3);
  assert.deepEqual(order, ["2", "3", "4"]);
});
