import assert from "node:assert/strict";
import { test } from "node:test";
import { Allowances } from "../../../../src/broker/tunnel/allowances.ts";

test("an allowance grants a burst, then what has come back, and says how often it had to refuse", () => {
  const allowances = new Allowances({ burst: 10, perSecond: 2 });
  assert.equal(allowances.take("a", 10, 0), 0);
  assert.equal(allowances.take("a", 1, 100), -1);
  assert.equal(allowances.take("a", 1, 400), -1);
  assert.equal(allowances.take("b", 10, 400), 0, "another one has its own");
  assert.equal(allowances.take("a", 1, 500), 2);
  assert.equal(allowances.take("a", 1, 1_000), 0);
  assert.equal(allowances.take("a", 11, 1_000_000), -1, "never more than the burst");
  assert.equal(allowances.take("a", 10, 1_000_000), 1);
});

test("allowances: who is whole again is forgotten, who is not is remembered", () => {
  const allowances = new Allowances({ burst: 10, perSecond: 2 });
  for (let i = 0; i < 1_000; i++) allowances.take(`name ${i}`, 1, 0);
  allowances.take("heavy", 10, 4_000);
  allowances.take("heavy", 1, 4_500);
  assert.equal(allowances.size, 1_001);
  assert.equal(allowances.take("heavy", 3, 5_000), -1, "kept beyond the change");
  assert.equal(allowances.size, 1_001);
  assert.equal(allowances.take("heavy", 10, 10_000), 1);
  assert.equal(allowances.size, 1);
});
