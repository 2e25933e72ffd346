import assert from "node:assert/strict";
import { test } from "node:test";
import { BackendHealth } from "../../../../src/broker/registry/backend_health.ts";
import { PeakEwma } from "../../../../src/broker/registry/peak_ewma.ts";

test("a connector that could not reach a backend is avoided for a while, longer each time, for that app only", () => {
  const health = new BackendHealth();
  health.failed("app", "c", 0);
  assert.equal(health.isUnwell("app", "c", 4_999), true);
  assert.equal(health.isUnwell("app", "c", 5_001), false);
  assert.equal(health.isUnwell("other", "c", 1), false);
  assert.equal(health.isUnwell("app", "d", 1), false);
  health.failed("app", "c", 6_000);
  assert.equal(health.isUnwell("app", "c", 15_999), true);
  for (let i = 0; i < 20; i++) health.failed("app", "c", 20_000);
  assert.equal(health.isUnwell("app", "c", 79_999), true);
  assert.equal(health.isUnwell("app", "c", 80_001), false, "a minute at most");
});

test("an answer of the backend ends that; what the connector itself reports only its own word ends", () => {
  const health = new BackendHealth();
  health.failed("app", "c", 0);
  health.answered("app", "c", 1);
  assert.equal(health.isEmpty, true);
  assert.equal(health.reported("app", "c", false, 0), true);
  health.answered("app", "c", 1);
  assert.equal(health.isUnwell("app", "c", 59_000), true);
  assert.deepEqual(health.unwellAppsOf("c", 0), ["app"]);
  assert.equal(health.reported("app", "c", true, 0), true);
  assert.equal(health.isEmpty, true);
});

test("what a connector reports counts for a minute, and longer when it says so again", () => {
  const health = new BackendHealth();
  health.reported("app", "c", false, 0);
  assert.equal(health.reported("app", "c", false, 20_000), false, "no news");
  assert.equal(health.isUnwell("app", "c", 79_000), true);
  assert.equal(health.isUnwell("app", "c", 81_000), false);
});

test("a connector whose host has run out of means is avoided for all apps, and answers do not end that before its time", () => {
  const health = new BackendHealth();
  for (let i = 0; i < 100; i++) health.exhausted("c", 0);
  assert.equal(health.isUnwell("one", "c", 4_999), true);
  assert.equal(health.isUnwell("two", "c", 4_999), true);
  assert.equal(health.isUnwell("one", "d", 0), false);
  assert.deepEqual(health.unwellAppsOf("c", 0), [], "of its backends it says nothing");
  health.answered("one", "c", 4_999);
  assert.equal(health.isUnwell("two", "c", 4_999), true);
  assert.equal(health.isUnwell("one", "c", 5_001), false, "all of them are one failure");
  health.exhausted("c", 5_001);
  assert.equal(health.isUnwell("one", "c", 15_000), true, "again: for longer");
  health.answered("one", "c", 15_002);
  assert.equal(health.isEmpty, true);
});

test("with a connector's last tunnel goes what was known of it", () => {
  const health = new BackendHealth();
  health.reported("one", "c", false, 0);
  health.reported("two", "c", false, 0);
  health.reported("two", "d", false, 0);
  health.forget("c");
  assert.deepEqual(health.unwellAppsOf("c", 0), []);
  assert.deepEqual(health.unwellAppsOf("d", 0), ["two"]);
});

test("what nobody speaks of any more is forgotten, what is said again is not", () => {
  const health = new BackendHealth();
  health.failed("app", "d", 0);
  for (let i = 0; i < 5_000; i++) health.reported(`app ${i}`, "c", false, i);
  assert.equal(health.size, 5_001);
  for (let i = 0; i < 10; i++) health.reported(`app ${i}`, "c", false, 100_000);
  assert.equal(health.size, 5_001, "again is no more");
  health.sweep(119_999);
  assert.equal(health.size, 5_001);
  health.sweep(122_000);
  assert.equal(health.isUnwell("app", "d", 122_000), false);
  assert.equal(health.size, 5_000 - 1_991, "those of the first two seconds but ten");
  health.sweep(130_000);
  assert.equal(health.size, 10);
  assert.equal(health.unwellAppsOf("c", 130_000).length, 10);
  health.sweep(220_000);
  assert.deepEqual([health.size, health.isEmpty], [0, true]);
});

test("a report that counts no longer is none: the next is news, and an answer ends what came after it", () => {
  const health = new BackendHealth();
  health.reported("app", "c", false, 0);
  assert.equal(health.reported("app", "c", false, 70_000), true);
  health.failed("app", "c", 140_000);
  assert.equal(health.isUnwell("app", "c", 140_001), true);
  health.answered("app", "c", 140_002);
  assert.equal(health.isEmpty, true);
});

test("what is asked of one connector costs no look at what is known of others", () => {
  const health = new BackendHealth();
  for (let i = 0; i < 2_000; i++) health.reported(`app ${i}`, "many", false, 0);
  health.reported("app 7", "one", false, 0);
  const looks = new Set<unknown>();
  const { get } = Map.prototype;
  Map.prototype.get = function (key) {
    looks.add(key);
    return get.call(this, key);
  };
  try {
    assert.deepEqual(health.unwellAppsOf("one", 1), ["app 7"]);
    health.forget("one");
  } finally {
    Map.prototype.get = get;
  }
  assert.deepEqual(looks, new Set(["one", "app 7"]));
});

test("latency follows a rise at once, a fall slowly, and is forgotten when nothing is seen", () => {
  const latency = new PeakEwma(10, 0);
  latency.observe(100, 1_000);
  assert.equal(latency.value(1_000), 100);
  latency.observe(10, 2_000);
  assert.ok(latency.value(2_000) > 80 && latency.value(2_000) < 100, String(latency.value(2_000)));
  assert.ok(latency.value(100_000) < 1);
});
