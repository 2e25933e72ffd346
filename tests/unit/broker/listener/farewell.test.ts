import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { ServerHttp2Session } from "node:http2";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import { Farewell } from "../../../../src/broker/listener/farewell.ts";

class FakeStream extends EventEmitter {
  writableEnded = false;
  answer(): void {
    this.writableEnded = true;
    this.emit("close");
  }
}

class FakeSession extends EventEmitter {
  closed = false;
  close(): void {
    this.closed = true;
  }
}

function begun(graceMs = 30_000) {
  const session = new FakeSession();
  let now = 0;
  const farewell = new Farewell(session as unknown as ServerHttp2Session, graceMs, () => now);
  return {
    session,
    /** Whether it is told to go until then, looked at every 50 ms. */
    at(ms: number): boolean {
      do {
        now = Math.min(ms, now + 50);
        farewell.check();
      } while (now < ms);
      return session.closed;
    },
    /** The same, where the broker stood still until then. */
    stoodStillUntil(ms: number): boolean {
      now = ms;
      farewell.check();
      return session.closed;
    },
    /** Requests that come together; gives them once they were considered. */
    async come(ms: number, count: number): Promise<FakeStream[]> {
      now = ms;
      const streams = Array.from({ length: count }, () => new FakeStream());
      for (const stream of streams) session.emit("stream", stream);
      await turn();
      return streams;
    },
  };
}

test("farewell: a session on which nothing new comes is told to go after half a second, answered or not", async () => {
  const { session, at, come } = begun();
  assert.equal(at(499), false);
  await come(499, 2);
  assert.equal(at(998), false);
  assert.equal(at(999), true);
  assert.equal(session.listenerCount("stream"), 1);
});

test("farewell: time in which the broker itself stood still is nobody's silence", async () => {
  const { at, come, stoodStillUntil } = begun();
  await come(100, 6);
  assert.equal(at(200), false);
  // What has come meanwhile is not read yet.
  assert.equal(stoodStillUntil(1_000), false);
  await come(1_001, 6);
  assert.equal(at(1_500), false);
  assert.equal(at(1_501), true);
});

test("farewell: a broker that stood still for longer than a session may stay reads first what came meanwhile", async () => {
  const { at, come, stoodStillUntil } = begun();
  await come(100, 6);
  assert.equal(at(200), false);
  assert.equal(stoodStillUntil(6_000), false);
  await come(6_001, 6);
  assert.equal(at(6_500), false);
  assert.equal(at(6_501), true);
});

test("farewell: for two seconds a session that is busy is left alone", async () => {
  const { at, come } = begun();
  for (let ms = 100; ms < 2_000; ms += 100) {
    const streams = await come(ms, 6);
    assert.equal(at(ms), false);
    for (const stream of streams) stream.answer();
  }
});

test("farewell: then it goes when as many requests wait as ever did, not earlier", async () => {
  const { session, come } = begun();
  const [first, ...others] = await come(1_900, 4);
  first!.answer();
  // Three have not been answered yet, and the fourth asks again: nobody can be about to send.
  others[0]!.writableEnded = true; // Its answer is on its way: another request may come after it.
  await come(2_001, 1);
  assert.equal(session.closed, false);
  others[0]!.answer();
  await come(2_010, 1);
  assert.equal(session.closed, true);
});

test("farewell: the longer it takes the fewer have to wait, at last it is any that comes", async () => {
  const { session, come } = begun();
  for (const stream of await come(1_000, 10)) stream.answer();
  for (const stream of await come(2_900, 5)) stream.answer();
  assert.equal(session.closed, false);
  await come(3_000, 5);
  assert.equal(session.closed, true);
  const late = begun();
  for (const stream of await late.come(1_000, 10)) stream.answer();
  await late.come(4_000, 1);
  assert.equal(late.session.closed, true);
});

test("farewell: it ends after 4.5 s whatever comes, and within half of a short grace", async () => {
  const { at, come } = begun();
  for (const stream of await come(1_000, 100)) stream.answer();
  for (let ms = 1_400; ms < 2_000; ms += 300) await come(ms, 1);
  assert.equal(at(1_999), false);
  assert.equal(at(4_500), true);
  const short = begun(900);
  assert.equal(short.at(49), false);
  assert.equal(short.at(50), true);
});
