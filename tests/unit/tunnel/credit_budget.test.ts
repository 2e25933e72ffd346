import assert from "node:assert/strict";
import { test } from "node:test";
import { INITIAL_CREDIT, MAX_CREDIT } from "../../../src/protocol/limits.ts";
import { CreditBudget } from "../../../src/tunnel/credit_budget.ts";
import { Inflow } from "../../../src/tunnel/inflow.ts";

const MIB = 1024 * 1024;

test("credit budget: the first credit is always given, growth only out of a quarter of what is free", () => {
  const budget = new CreditBudget(MIB);
  const proven = 6 * MIB;
  assert.equal(budget.grow(256 * 1024, proven), 512 * 1024);
  assert.equal(budget.used, 256 * 1024);
  assert.equal(budget.grow(256 * 1024, proven), 256 * 1024);
  assert.equal(budget.grow(MAX_CREDIT, proven), MAX_CREDIT);
  const inflows = Array.from({ length: 20 }, () => new Inflow(budget));
  for (const inflow of inflows) inflow.open("body", 0);
  assert.equal(budget.used, 256 * 1024 + 20 * INITIAL_CREDIT);
});

test("credit budget: three quarters of it are kept for exchanges that have proven to have a reader", () => {
  const budget = new CreditBudget(256 * MIB);
  budget.take(64 * MIB);
  assert.equal(budget.grow(INITIAL_CREDIT, 4.5 * MIB - 1), INITIAL_CREDIT);
  assert.equal(budget.grow(INITIAL_CREDIT, 4.5 * MIB), 2 * INITIAL_CREDIT);
});
