import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { INITIAL_CREDIT, LEAST_CREDIT, MAX_CREDIT, MAX_INFORMATIONAL } from "../../../src/protocol/limits.ts";
import { CreditBudget } from "../../../src/tunnel/credit_budget.ts";
import { Inflow } from "../../../src/tunnel/inflow.ts";
import { assertHolds } from "../../support/property.ts";

const MIB = 1024 * 1024;

test("inflow: no credit before half of the window is used up, then all of it", () => {
  const inflow = new Inflow(new CreditBudget(0));
  inflow.open("body", 0);
  inflow.arrived(INITIAL_CREDIT / 2 - 1);
  assert.equal(inflow.consumed(INITIAL_CREDIT / 2 - 1, 0, 0), 0);
  inflow.arrived(1);
  assert.equal(inflow.consumed(1, 0, 0), INITIAL_CREDIT / 2);
  inflow.arrived(INITIAL_CREDIT);
  assert.throws(() => inflow.arrived(1), { code: "protocol_error" });
});

test("inflow: doubles while drained within two round trips, up to the largest", () => {
  const budget = new CreditBudget(256 * MIB);
  const inflow = new Inflow(budget);
  inflow.open("body", 0);
  let granted = INITIAL_CREDIT;
  for (let now = 100; now <= 2000; now += 100) {
    inflow.arrived(granted);
    granted = inflow.consumed(granted, now, 50);
  }
  assert.equal(granted, MAX_CREDIT);
  assert.equal(inflow.release(), 0);
  assert.equal(budget.used, 0);

  inflow.open("body", 0);
  inflow.arrived(INITIAL_CREDIT);
  assert.equal(inflow.consumed(INITIAL_CREDIT, 121, 50), INITIAL_CREDIT);
  inflow.release();
});

test("inflow: whoever passes on all that comes never leaves the sender so little credit that it may stop", () => {
  for (const limit of [0, 256 * MIB]) {
    for (const piece of [1_000, 16 * 1024, 64 * 1024]) {
      const inflow = new Inflow(new CreditBudget(limit));
      inflow.open("body", 0);
      let credit = INITIAL_CREDIT;
      for (let sent = 0; sent < 32 * MIB; sent += piece) {
        assert.ok(credit >= LEAST_CREDIT, `${credit} after ${sent}`);
        // The rest of a piece that is larger waits for credit.
        const bytes = Math.min(piece, credit);
        inflow.arrived(bytes);
        credit += inflow.consumed(bytes, 0, 0) - bytes;
      }
    }
  }
});

test("inflow: saying consumed for more than came changes no account", () => {
  const budget = new CreditBudget(256 * MIB);
  const inflow = new Inflow(budget);
  inflow.open("body", 0);
  inflow.arrived(1000);
  inflow.consumed(MAX_CREDIT, 1000, 0);
  inflow.consumed(MAX_CREDIT, 1000, 0);
  assert.equal(inflow.release(), 0);
  assert.equal(budget.used, 0);
});

test("inflow: whatever comes and goes, window and budget agree (property)", () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("arrive"), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
    fc.record({ do: fc.constant("consume"), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
    fc.record({ do: fc.constant("wait"), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
    fc.record({ do: fc.constant("reopen"), share: fc.constant(0) }),
  );
  assertHolds(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 0, max: 64 }), (steps, limit) => {
      const budget = new CreditBudget(limit * MIB);
      const inflow = new Inflow(budget);
      let now = 0;
      let allowed = INITIAL_CREDIT;
      let unread = 0;
      let kept = 0;
      inflow.open("body", now);
      for (const { do: what, share } of steps) {
        if (what === "arrive") {
          const bytes = Math.floor(allowed * share);
          inflow.arrived(bytes);
          allowed -= bytes;
          unread += bytes;
        } else if (what === "consume") {
          const bytes = Math.floor(unread * share);
          unread -= bytes;
          allowed += inflow.consumed(bytes, now, 10);
          assert.ok(unread > 0 || allowed >= LEAST_CREDIT);
        } else if (what === "wait") {
          now += 40 * share;
        } else {
          kept += inflow.release();
          inflow.open("body", now);
          [allowed, unread] = [INITIAL_CREDIT, 0];
        }
        assert.ok(allowed + unread <= MAX_CREDIT);
        assert.ok(budget.used >= allowed + unread + kept);
        assert.ok(budget.used <= Math.max(limit * MIB, INITIAL_CREDIT) + INITIAL_CREDIT + kept);
      }
      assert.equal(inflow.release(), unread);
      assert.equal(budget.used, unread + kept);
    }),
  );
});

test("inflow: what comes out of its turn breaks the contract", () => {
  const broken = { code: "protocol_error" };
  const inflow = new Inflow(new CreditBudget(0));
  assert.throws(() => inflow.head(true), broken);
  inflow.open("head", 0);
  assert.throws(() => inflow.arrived(1), broken);
  assert.throws(() => inflow.end(), broken);
  inflow.informational();
  inflow.head(true);
  assert.throws(() => inflow.informational(), broken);
  assert.throws(() => inflow.head(true), broken);
  inflow.end();
  assert.ok(inflow.isClosing);
  assert.throws(() => inflow.arrived(1), broken);
  assert.equal(inflow.consumed(INITIAL_CREDIT, 0, 0), 0);
  inflow.close();
  assert.ok(inflow.hasEnded);
});

test("inflow: 1xx heads are counted anew for each exchange", () => {
  const inflow = new Inflow(new CreditBudget(0));
  for (let exchange = 0; exchange < 2; exchange++) {
    inflow.open("head", 0);
    for (let i = 0; i < MAX_INFORMATIONAL; i++) inflow.informational();
    assert.throws(() => inflow.informational(), { code: "protocol_error" });
  }
});
