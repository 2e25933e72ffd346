import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { Arrivals } from "../../../../src/broker/tunnel/arrivals.ts";

class FakeSocket extends EventEmitter {
  readonly remoteAddress = "192.0.2.1";
  readonly remotePort: number;
  destroyed = false;
  constructor(remotePort: number) {
    super();
    this.remotePort = remotePort;
  }
  destroy(): void {
    this.destroyed = true;
    this.emit("close");
  }
}

function two(t: TestContext) {
  const entered: number[] = [];
  const target = { emit: (_: "connection", socket: Socket) => entered.push(socket.remotePort!) > 0 };
  const arrivals = new Arrivals(target, { mostAtOnce: 2, holdMs: 1_000 });
  t.after(() => arrivals[Symbol.dispose]());
  const sockets = [1, 2, 3, 4, 5].map((port) => new FakeSocket(port));
  for (const socket of sockets) arrivals.emit("connection", socket as unknown as Socket);
  return { entered, arrivals, sockets };
}

test("arrivals: so many at once, the others in order as places become free", (t) => {
  const { entered, arrivals, sockets } = two(t);
  assert.deepEqual([entered, arrivals.waiting], [[1, 2], 3]);
  arrivals.settled(sockets[0]!);
  arrivals.settled(sockets[0]!); // Once is enough.
  assert.deepEqual(entered, [1, 2, 3]);
  sockets[1]!.destroy();
  assert.deepEqual([entered, arrivals.waiting], [[1, 2, 3, 4], 1]);
});

test("arrivals: who leaves while waiting is not let in", (t) => {
  const { entered, arrivals, sockets } = two(t);
  sockets[2]!.destroy();
  assert.equal(arrivals.waiting, 2);
  arrivals.settled(sockets[0]!);
  assert.deepEqual(entered, [1, 2, 4]);
});

test("arrivals: who takes too long keeps nobody out", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { entered } = two(t);
  t.mock.timers.tick(1_000);
  assert.deepEqual(entered, [1, 2, 3, 4]);
});

test("arrivals: at its end nobody waits any more", (t) => {
  const { arrivals, sockets } = two(t);
  arrivals[Symbol.dispose]();
  assert.deepEqual(sockets.map(({ destroyed }) => destroyed), [false, false, true, true, true]);
});
