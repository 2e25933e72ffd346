import assert from "node:assert/strict";
import { test } from "node:test";
import { ReconnectWindow } from "../../../../src/broker/tunnel/reconnect_window.ts";
import { parseReconnectWindow, reconnectWindowFor } from "../../../../src/protocol/reconnect_window.ts";

test("reconnect window: a hundred tunnels a second, at least 250 ms, at most 15 s", () => {
  assert.deepEqual([0, 1, 25, 26, 100, 1_000, 1_500, 10_000].map(reconnectWindowFor), [
    250,
    250,
    250,
    260,
    1_000,
    10_000,
    15_000,
    15_000,
  ]);
});

test("reconnect window: what is said is kept within its bounds; what is no count is not said", () => {
  const read = (reconnectWindowMs: unknown) => parseReconnectWindow({ reconnectWindowMs });
  assert.deepEqual([0, 300, 1e9].map(read), [250, 300, 15_000]);
  assert.deepEqual([undefined, null, -1, 1.5, "300", Infinity].map(read), Array(6).fill(undefined));
});

test("reconnect window: all who have said hello are told when it has doubled or halved", () => {
  const told: [string, unknown][] = [];
  const tunnel = (name: string, hello: unknown) => ({
    hello,
    control: { notice: (type: string, fields: unknown) => told.push([`${name} ${type}`, fields]) },
  });
  const tunnels = () => [tunnel("a", {}), tunnel("b", null), tunnel("c", {})];
  const window = new ReconnectWindow();
  const after = (count: number) => {
    told.length = 0;
    window.changed(count, tunnels);
    return told;
  };
  for (let n = 1; n < 50; n++) assert.deepEqual(after(n), []);
  assert.deepEqual(after(50), [
    ["a reconnect.window", { reconnectWindowMs: 500 }],
    ["c reconnect.window", { reconnectWindowMs: 500 }],
  ]);
  for (let n = 51; n < 100; n++) assert.deepEqual(after(n), []);
  assert.equal(after(100).length, 2);
  assert.deepEqual(after(51), []);
  assert.equal(after(50).length, 2);
  assert.equal(after(0).length, 2);
  assert.deepEqual(window.fields(300), { reconnectWindowMs: 3_000 });
});
