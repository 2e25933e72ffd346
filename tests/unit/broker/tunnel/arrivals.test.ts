import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { Arrivals } from "../../../../src/broker/tunnel/arrivals.ts";

let nextPort = 1;

class FakeSocket extends EventEmitter {
  readonly remotePort = nextPort++;
  readonly remoteAddress: string;
  bytesRead = 0;
  destroyed = false;
  constructor(remoteAddress: string) {
    super();
    this.remoteAddress = remoteAddress;
  }
  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.emit("close");
  }
}

function stage(t: TestContext, mostAtOnce: number) {
  let now = 0;
  const entered: FakeSocket[] = [];
  const turnedAway: string[] = [];
  const target = {
    emit: (_: "connection", socket: Socket) => entered.push(socket as unknown as FakeSocket) > 0,
  };
  const arrivals = new Arrivals(target, {
    sourceOf: (socket) => socket.remoteAddress!,
    onTurnedAway: (cause) => turnedAway.push(cause),
    mostAtOnce,
    now: () => now,
  });
  t.after(() => arrivals[Symbol.dispose]());
  return {
    arrivals,
    entered,
    turnedAway,
    /** So many connections from an address. */
    come(count: number, address = "192.0.2.1"): FakeSocket[] {
      const sockets = Array.from({ length: count }, () => new FakeSocket(address));
      for (const socket of sockets) arrivals.emit("connection", socket as unknown as Socket);
      return sockets;
    },
    passes(ms: number): void {
      now += ms;
      arrivals.check();
    },
    has: (socket: FakeSocket | undefined) => entered.includes(socket!),
  };
}

test("arrivals: so many at once, the others in order as places become free", (t) => {
  const { arrivals, entered, come } = stage(t, 4);
  const sockets = come(6);
  assert.deepEqual([entered, arrivals.waiting], [sockets.slice(0, 3), 3], "one place is left for others");
  arrivals.settled(sockets[0]!);
  arrivals.settled(sockets[0]!); // Once is enough.
  assert.deepEqual(entered, sockets.slice(0, 4));
  sockets[1]!.destroy();
  assert.deepEqual([entered, arrivals.waiting], [sockets.slice(0, 5), 1]);
});

test("arrivals: who leaves while waiting is not let in", (t) => {
  const { arrivals, entered, come } = stage(t, 4);
  const sockets = come(5);
  sockets[3]!.destroy();
  assert.equal(arrivals.waiting, 1);
  arrivals.settled(sockets[0]!);
  assert.deepEqual(entered, [...sockets.slice(0, 3), sockets[4]]);
});

test("arrivals: who is silent for a second loses its place, who goes on after two", (t) => {
  const { entered, turnedAway, come, passes } = stage(t, 4);
  const [busy, ...others] = come(9);
  for (const ms of [500, 499]) {
    busy!.bytesRead += 10;
    passes(ms);
  }
  assert.equal(entered.length, 3);
  passes(1);
  assert.deepEqual([entered.length, turnedAway], [5, ["place_lost", "place_lost"]]);
  for (const socket of others) socket.bytesRead += 10;
  busy!.bytesRead += 10;
  passes(999);
  assert.equal(entered.length, 5);
  passes(1);
  assert.equal(entered.length, 6, "the busy one has had its two seconds");
});

test("arrivals: addresses take turns, however many wait from one", (t) => {
  const { arrivals, come, has } = stage(t, 4);
  const many = come(50, "192.0.2.1");
  const others = come(3, "192.0.2.2");
  assert.ok(has(others[0]), "one address does not get all places");
  many[0]!.destroy();
  many[1]!.destroy();
  assert.ok(has(others[1]) && has(many[3]));
  assert.equal(arrivals.waiting, 47);
});

test("arrivals: failing addresses come last and leave a place for others, served ones come first", (t) => {
  const { arrivals, come, passes, has } = stage(t, 4);
  const [friend] = come(1, "192.0.2.9");
  arrivals.settled(friend!);
  friend!.destroy();
  for (let i = 1; i <= 5; i++) come(10, `198.51.100.${i}`); // Silent, all of them.
  passes(1_000);
  passes(1_000);
  // All five have failed by now, and hold three places together.
  const [stranger] = come(1, "192.0.2.7");
  assert.ok(has(stranger));
  const strangers = come(1, "192.0.2.8");
  const [again] = come(1, "192.0.2.9");
  assert.ok(!has(strangers[0]) && !has(again));
  stranger!.destroy();
  assert.ok(has(again) && !has(strangers[0]));
});

test("arrivals: a failure is forgiven after a minute, or once a connector is served", (t) => {
  const { arrivals, come, passes, has } = stage(t, 1);
  const [late] = come(1, "198.51.100.1");
  come(1, "198.51.100.2");
  passes(1_000);
  passes(1_000); // Both have failed.
  const [other] = come(1, "192.0.2.1");
  assert.ok(has(other));
  const [first] = come(1, "198.51.100.1");
  const [second] = come(1, "192.0.2.2");
  arrivals.settled(late!); // Late, but a connector after all.
  other!.destroy();
  assert.ok(has(first) && !has(second));
  first!.destroy();
  second!.destroy();
  passes(60_000);
  const [holder] = come(1, "192.0.2.3");
  const [forgiven] = come(1, "198.51.100.2");
  const [stranger] = come(1, "192.0.2.4");
  holder!.destroy();
  assert.ok(has(forgiven) && !has(stranger));
});

test("arrivals: who has waited for 15 s is closed, and each address has a share of those who wait", (t) => {
  const { arrivals, turnedAway, come, passes } = stage(t, 1);
  come(1, "192.0.2.1");
  const [waiting] = come(1, "192.0.2.2");
  come(5_001, "192.0.2.1");
  assert.deepEqual([turnedAway, arrivals.waiting], [["source_full"], 5_001]);
  come(5_000, "192.0.2.3");
  assert.deepEqual([turnedAway, arrivals.waiting], [["source_full", "full"], 10_000]);
  turnedAway.length = 0;
  passes(15_000);
  assert.ok(waiting!.destroyed);
  assert.equal(arrivals.waiting, 0);
  assert.equal(turnedAway.filter((cause) => cause === "waited_too_long").length, 10_000);
});

test("arrivals: at its end nobody waits any more", (t) => {
  const { arrivals, come } = stage(t, 4);
  const sockets = come(5);
  arrivals[Symbol.dispose]();
  assert.deepEqual(sockets.map(({ destroyed }) => destroyed), [false, false, false, true, true]);
});
