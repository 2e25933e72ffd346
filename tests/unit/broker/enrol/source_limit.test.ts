import assert from "node:assert/strict";
import { test } from "node:test";
import { SourceLimit } from "../../../../src/broker/enrol/source_limit.ts";

test("source limit: failures beyond the burst wait, and are forgiven with time", () => {
  const limit = new SourceLimit({ burst: 2, refillMs: 1_000 });
  assert.equal(limit.waitMs("192.0.2.1", 0), 0);
  limit.failed("192.0.2.1", 0);
  assert.equal(limit.waitMs("192.0.2.1", 0), 0);
  limit.failed("192.0.2.1", 0);
  assert.equal(limit.waitMs("192.0.2.1", 0), 1_000);
  assert.equal(limit.waitMs("192.0.2.1", 400), 600);
  assert.equal(limit.waitMs("192.0.2.1", 1_001), 0);
  assert.equal(limit.waitMs("192.0.2.2", 0), 0);
});

test("source limit: a clock that goes back does not hold up what is forgiven", () => {
  const limit = new SourceLimit({ burst: 2, refillMs: 1_000 });
  for (let i = 0; i < 5; i++) limit.failed("192.0.2.1", 86_400_000);
  assert.equal(limit.waitMs("192.0.2.1", 0), 1_000);
  assert.equal(limit.waitMs("192.0.2.1", 400), 600);
  assert.equal(limit.waitMs("192.0.2.1", 1_001), 0);
});

test("source limit: addresses of one IPv6 network of 64 bits count as one", () => {
  const limit = new SourceLimit({ burst: 1 });
  limit.failed("2001:db8::1", 0);
  assert.ok(limit.waitMs("2001:db8:0:0:ffff::2", 0) > 0);
  assert.equal(limit.waitMs("2001:db8:0:1::1", 0), 0);
});

test("source limit: it remembers no more sources than it may", () => {
  const limit = new SourceLimit({ burst: 1, maxSources: 2 });
  for (const address of ["a", "b", "a", "c"]) limit.failed(address, 0);
  assert.equal(limit.waitMs("b", 0), 0);
  assert.ok(limit.waitMs("a", 0) > 0);
  assert.ok(limit.waitMs("c", 0) > 0);
});
