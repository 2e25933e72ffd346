import assert from "node:assert/strict";
import { test } from "node:test";
import { Nonces } from "../../../../src/broker/enrol/nonces.ts";

test("nonces: good until they end, and spent once", () => {
  const nonces = new Nonces({ lifetimeMs: 1_000 });
  const nonce = nonces.issue(5_000);
  assert.equal(nonces.isGood(nonce, 5_999), true);
  assert.equal(nonces.isGood(nonce, 6_000), false);
  assert.equal(nonces.isGood(nonce, 4_999), false, "from the future: the clock went back");
  assert.equal(nonces.spend(nonce, 5_500), true);
  assert.equal(nonces.isGood(nonce, 5_500), false);
  assert.equal(nonces.spend(nonce, 5_500), false);
  assert.notEqual(nonces.issue(5_000), nonce);
});

test("nonces: what was altered, cut, or made by another process is none", () => {
  const nonces = new Nonces();
  const nonce = nonces.issue(5_000);
  const altered = (nonce.startsWith("A") ? "B" : "A") + nonce.slice(1);
  for (const wrong of [altered, nonce.slice(1), `${nonce}A`, `${nonce}=`, "", new Nonces().issue(5_000)]) {
    assert.equal(nonces.isGood(wrong, 5_000), false, wrong);
    assert.equal(nonces.spend(wrong, 5_000), false, wrong);
  }
});

test("nonces: only so many spent ones are remembered, none is taken beyond it, and ended ones make room", () => {
  const nonces = new Nonces({ lifetimeMs: 1_000, maxSpent: 2 });
  const [a, b, c] = [nonces.issue(0), nonces.issue(1), nonces.issue(2)];
  assert.equal(nonces.spend(a!, 10), true);
  assert.equal(nonces.spend(b!, 10), true);
  assert.equal(nonces.spend(c!, 10), false);
  assert.equal(nonces.spend(c!, 1_000), true, "the first has ended");
});

test("nonces: those spent before the clock went back take no place from others", () => {
  const nonces = new Nonces({ lifetimeMs: 1_000, maxSpent: 1 });
  const [later, now] = [nonces.issue(86_400_000), nonces.issue(0)];
  assert.equal(nonces.spend(later, 86_400_000), true);
  assert.equal(nonces.spend(now, 10), true);
  assert.equal(nonces.spend(now, 10), false);
});
