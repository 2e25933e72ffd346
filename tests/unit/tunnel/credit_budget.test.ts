import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { INITIAL_CREDIT, MAX_CREDIT } from "../../../src/protocol/limits.ts";
import { CreditBudget, Inflow } from "../../../src/tunnel/credit_budget.ts";

const MIB = 1024 * 1024;

test("credit budget: the first credit is always given, growth only out of a quarter of what is free", () => {
  const budget = new CreditBudget(MIB);
  const proven = 4 * MIB;
  assert.equal(budget.grow(256 * 1024, proven), 512 * 1024);
  assert.equal(budget.used, 256 * 1024);
  assert.equal(budget.grow(256 * 1024, proven), 256 * 1024);
  assert.equal(budget.grow(MAX_CREDIT, proven), MAX_CREDIT);
  const inflows = Array.from({ length: 20 }, () => new Inflow(budget));
  for (const inflow of inflows) inflow.open(0);
  assert.equal(budget.used, 256 * 1024 + 20 * INITIAL_CREDIT);
});

test("credit budget: half of it is kept for exchanges that have proven to have a reader", () => {
  const budget = new CreditBudget(256 * MIB);
  budget.take(128 * MIB);
  assert.equal(budget.grow(INITIAL_CREDIT, 4 * MIB - 1), INITIAL_CREDIT);
  assert.equal(budget.grow(INITIAL_CREDIT, 4 * MIB), 2 * INITIAL_CREDIT);
});

test("inflow: no credit before half of the window is used up, then all of it", () => {
  const inflow = new Inflow(new CreditBudget(0));
  inflow.open(0);
  assert.ok(inflow.arrived(INITIAL_CREDIT / 2 - 1));
  assert.equal(inflow.consumed(INITIAL_CREDIT / 2 - 1, 0, 0), 0);
  assert.ok(inflow.arrived(1));
  assert.equal(inflow.consumed(1, 0, 0), INITIAL_CREDIT / 2);
  assert.ok(inflow.arrived(INITIAL_CREDIT));
  assert.ok(!inflow.arrived(1));
});

test("inflow: doubles while drained within two round trips, up to the largest", () => {
  const budget = new CreditBudget(256 * MIB);
  const inflow = new Inflow(budget);
  inflow.open(0);
  let granted = INITIAL_CREDIT;
  for (let now = 100; now <= 2000; now += 100) {
    inflow.arrived(granted);
    granted = inflow.consumed(granted, now, 50);
  }
  assert.equal(granted, MAX_CREDIT);
  assert.equal(inflow.close(), 0);
  assert.equal(budget.used, 0);

  inflow.open(0);
  inflow.arrived(INITIAL_CREDIT);
  assert.equal(inflow.consumed(INITIAL_CREDIT, 121, 50), INITIAL_CREDIT);
  inflow.close();
});

test("inflow: saying consumed for more than came changes no account", () => {
  const budget = new CreditBudget(256 * MIB);
  const inflow = new Inflow(budget);
  inflow.open(0);
  inflow.arrived(1000);
  inflow.consumed(MAX_CREDIT, 1000, 0);
  inflow.consumed(MAX_CREDIT, 1000, 0);
  assert.equal(inflow.close(), 0);
  assert.equal(budget.used, 0);
});

test("inflow: whatever comes and goes, window and budget agree (property)", () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("arrive"), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
    fc.record({ do: fc.constant("consume"), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
    fc.record({ do: fc.constant("wait"), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
    fc.record({ do: fc.constant("reopen"), share: fc.constant(0) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 0, max: 64 }), (steps, limit) => {
      const budget = new CreditBudget(limit * MIB);
      const inflow = new Inflow(budget);
      let now = 0;
      let allowed = INITIAL_CREDIT;
      let unread = 0;
      let kept = 0;
      inflow.open(now);
      for (const { do: what, share } of steps) {
        if (what === "arrive") {
          const bytes = Math.floor(allowed * share);
          assert.ok(inflow.arrived(bytes));
          allowed -= bytes;
          unread += bytes;
        } else if (what === "consume") {
          const bytes = Math.floor(unread * share);
          unread -= bytes;
          allowed += inflow.consumed(bytes, now, 10);
        } else if (what === "wait") {
          now += 40 * share;
        } else {
          kept += inflow.close();
          inflow.open(now);
          [allowed, unread] = [INITIAL_CREDIT, 0];
        }
        assert.ok(allowed + unread <= MAX_CREDIT);
        assert.ok(budget.used >= allowed + unread + kept);
        assert.ok(budget.used <= Math.max(limit * MIB, INITIAL_CREDIT) + INITIAL_CREDIT + kept);
      }
      assert.equal(inflow.close(), unread);
      assert.equal(budget.used, unread + kept);
    }),
  );
});
