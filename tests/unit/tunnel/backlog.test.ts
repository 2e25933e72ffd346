import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { after, test } from "node:test";
import { encodeRequest } from "../../../src/protocol/heads.ts";
import { INITIAL_CREDIT } from "../../../src/protocol/limits.ts";
import { Backlog, BULK_PIECE_BYTES } from "../../../src/tunnel/backlog.ts";
import { FakeTimers } from "./fake_timers.ts";
import { lanePair, Recorder, request } from "./lane_ends.ts";
import { settle, turn } from "./wire.ts";

const OK = { status: 200, reason: "OK", headers: [], hasBody: true };
const PIECE_BYTES = 64 * 1024;
const PIECE = Buffer.alloc(PIECE_BYTES);
const SMALL = Buffer.alloc(BULK_PIECE_BYTES - 1);

/** No time passes but where a test says so: a machine that stands still makes nothing come too late. */
const stillness = new FakeTimers();
after(() => stillness[Symbol.dispose]());

test("backlog: there is room up to its bound; who waits goes on in order, as far as there is room", async () => {
  const backlog = new Backlog(100);
  const went: string[] = [];
  const waiting = (name: string, takes: number) => ({
    roomAgain() {
      went.push(name);
      backlog.add(takes);
    },
  });
  const [a, b, c, d] = [waiting("a", 0), waiting("b", 100), waiting("c", 1), waiting("d", 1)];
  backlog.add(99);
  assert.equal(backlog.hasRoomElseWait(a), true);
  backlog.add(50);
  for (const one of [a, b, a, c, d]) assert.equal(backlog.hasRoomElseWait(one), false);
  backlog.remove(49);
  assert.deepEqual(went, []);
  backlog.forget(c);
  backlog.remove(50);
  assert.deepEqual(went, ["a"]);
  await turn();
  assert.deepEqual(went, ["a", "b"]);
  backlog.remove(50);
  await turn();
  assert.deepEqual(went, ["a", "b"]);
  backlog.remove(100);
  assert.deepEqual(went, ["a", "b", "d"]);
  assert.equal(backlog.bytes, 1);
});

test("backlog: who is told of room and sends only later is not followed by more than there is room for", async () => {
  const most = 8 * PIECE_BYTES;
  const backlog = new Backlog(most);
  let highest = 0;
  let went = 0;
  const waiting = () => ({
    roomAgain() {
      // Like a readable that is resumed.
      process.nextTick(() => {
        went += 1;
        backlog.add(PIECE_BYTES);
        highest = Math.max(highest, backlog.bytes);
      });
    },
  });
  backlog.add(most);
  for (let i = 0; i < 1_000; i++) assert.equal(backlog.hasRoomElseWait(waiting()), false);
  // All that was in it leaves within one turn.
  for (let i = 0; i < 8; i++) backlog.remove(PIECE_BYTES);
  await turn();
  await turn();
  assert.deepEqual([went, highest], [8, most]);
  while (went < 1_000) {
    backlog.remove(PIECE_BYTES);
    await turn();
  }
  assert.equal(highest, most);
});

test("backlog: who is told of room and has nothing to send does not keep it from those behind", async () => {
  const backlog = new Backlog(PIECE_BYTES);
  let went = 0;
  backlog.add(PIECE_BYTES);
  for (let i = 0; i < 100; i++) backlog.hasRoomElseWait({ roomAgain: () => went += 1 });
  backlog.remove(PIECE_BYTES);
  assert.equal(went, 1);
  for (let i = 0; i < 100; i++) await turn();
  assert.equal(went, 100);
});

test("backlog: who asks while others have been told of room waits behind them", async () => {
  const backlog = new Backlog(2 * PIECE_BYTES);
  const went: string[] = [];
  const waiting = (name: string) => ({ roomAgain: () => went.push(name) });
  backlog.add(2 * PIECE_BYTES);
  for (const name of ["a", "b"]) backlog.hasRoomElseWait(waiting(name));
  backlog.remove(PIECE_BYTES);
  assert.deepEqual([went, backlog.hasRoomElseWait(waiting("c"))], [["a"], false]);
  await turn();
  assert.deepEqual(went, ["a", "b"]);
  await turn();
  assert.deepEqual(went, ["a", "b", "c"]);
  await turn();
  assert.equal(backlog.hasRoomElseWait(waiting("d")), true, "nobody waits any more");
});

test("backlog: at its end nobody waits any more, nor is told of room", async () => {
  const backlog = new Backlog(PIECE_BYTES);
  let went = 0;
  const one = () => backlog.hasRoomElseWait({ roomAgain: () => went += 1 });
  backlog.add(2 * PIECE_BYTES);
  for (let i = 0; i < 3; i++) assert.equal(one(), false);
  backlog.remove(2 * PIECE_BYTES);
  assert.equal(went, 1);
  backlog[Symbol.dispose]();
  await turn();
  assert.equal(went, 1);
  backlog.add(2 * PIECE_BYTES);
  assert.equal(one(), true);
});

/** Lanes of one tunnel, each with an exchange that answers; what they send stays on the wire until it is delivered. */
async function answering(count: number, backlog: Backlog) {
  return await Promise.all(Array.from({ length: count }, async () => {
    const pair = lanePair(undefined, backlog);
    const head = request();
    const user = new Recorder();
    pair.broker.lane.begin(encodeRequest(head), head.follows, user);
    await settle(pair.broker.stream, pair.connector.stream);
    pair.connector.lane.sendResponse(OK);
    return { ...pair, user };
  }));
}

type Pair = Awaited<ReturnType<typeof answering>>[number];

const writables = ({ connector }: Pair) =>
  connector.owner.handlers.at(-1)!.heard.filter(([what]) => what === "writable").length;
const settled = ({ broker, connector }: Pair) => settle(broker.stream, connector.stream);

test("backlog: lanes of one tunnel share it; one that found none goes on when another's bytes have left", async () => {
  const backlog = new Backlog(PIECE_BYTES);
  const [first, second] = await answering(2, backlog) as [Pair, Pair];
  assert.equal(first.connector.lane.sendData(PIECE), false);
  assert.equal(second.connector.lane.sendData(PIECE), false);
  await settled(second);
  assert.equal(writables(second), 0, "its own bytes have left, but there is no room in the tunnel");
  await settled(first);
  assert.deepEqual([backlog.bytes, writables(second)], [0, 1]);
});

test("backlog: small pieces do not count in it, and do not wait for it", async () => {
  const backlog = new Backlog(PIECE_BYTES);
  const [full, small] = await answering(2, backlog) as [Pair, Pair];
  full.connector.lane.sendData(PIECE);
  assert.equal(backlog.bytes, PIECE_BYTES);
  assert.equal(small.connector.lane.sendData(SMALL), true);
  assert.equal(backlog.bytes, PIECE_BYTES, "what is no bulk does not count");
  while (small.connector.lane.sendData(SMALL));
  await settled(small);
  assert.equal(writables(small), 1, "there is room in its stream, and that is all it needs");
  // As much as the peer takes at first; what comes next waits for credit, and for nothing else.
  let sent = small.user.unread;
  for (; sent <= INITIAL_CREDIT; sent += SMALL.length) small.connector.lane.sendData(SMALL);
  await settled(small);
  assert.equal(small.user.unread, INITIAL_CREDIT);
  small.broker.lane.consumed(INITIAL_CREDIT);
  await settled(small);
  assert.equal(small.user.body.length, sent);
  assert.equal(writables(small), 2);
  assert.equal(backlog.bytes, PIECE_BYTES);
});

test("backlog: what waits for credit waits for room as well where it is bulk, and so does who has sent it", async () => {
  const backlog = new Backlog(PIECE_BYTES);
  const [full, bulk] = await answering(2, backlog) as [Pair, Pair];
  for (const piece of [Buffer.alloc(INITIAL_CREDIT), PIECE]) bulk.connector.lane.sendData(piece);
  await settled(bulk);
  full.connector.lane.sendData(PIECE);
  bulk.broker.lane.consumed(INITIAL_CREDIT);
  await settled(bulk);
  assert.deepEqual([bulk.user.body.length, writables(bulk)], [INITIAL_CREDIT, 0]);
  await settled(full);
  await settled(bulk);
  assert.equal(bulk.user.body.length, INITIAL_CREDIT + PIECE_BYTES);
  assert.equal(writables(bulk), 1);
});

test("backlog: an exchange does not wait for what the one before it on its lane has sent", async () => {
  const backlog = new Backlog(PIECE_BYTES);
  const [full, lane] = await answering(2, backlog) as [Pair, Pair];
  lane.connector.lane.sendData(PIECE);
  lane.connector.lane.sendEnd([]);
  await settled(lane);
  full.connector.lane.sendData(PIECE);
  lane.broker.lane.begin(encodeRequest(request()), "nothing", new Recorder());
  await settled(lane);
  lane.connector.lane.sendResponse(OK);
  assert.equal(lane.connector.lane.sendData(Buffer.alloc(0)), true);
});

test("backlog: lanes whose sources are paused and resumed stay within its bound, and each comes to its end", async () => {
  const [lanes, pieces, mostPieces] = [100, 10, 8];
  const backlog = new Backlog(mostPieces * PIECE_BYTES);
  const pairs = await answering(lanes, backlog);
  for (const { broker, connector, user } of pairs) {
    const { lane, owner } = connector;
    const source = Readable.from(Array<Buffer>(pieces).fill(PIECE), { highWaterMark: 2 });
    source.on("data", (piece: Buffer) => lane.sendData(piece) || source.pause());
    source.on("end", () => lane.sendEnd([]));
    owner.handlers[0]!.on = ([what]) => void (what === "writable" && source.resume());
    user.on = ([what, bytes]) => void (what === "data" && broker.lane.consumed((bytes as Buffer).length));
  }
  // Each has sent one piece before it was told to wait.
  await turn();
  assert.equal(backlog.bytes, lanes * PIECE_BYTES);
  let highest = 0;
  while (pairs.some(({ broker }) => !broker.lane.isIdle)) {
    for (const { connector } of pairs) connector.stream.deliver();
    for (const { broker } of pairs) broker.stream.deliver();
    await turn();
    highest = Math.max(highest, backlog.bytes);
  }
  assert.ok(highest <= 2 * mostPieces * PIECE_BYTES, `${highest / PIECE_BYTES} pieces`);
  assert.equal(backlog.bytes, 0);
  for (const { user } of pairs) assert.equal(user.body.length, pieces * PIECE_BYTES);
});

test("backlog: a lane that is lost leaves nothing behind in it, and does not wait", async () => {
  const backlog = new Backlog(PIECE_BYTES);
  const [first, second] = await answering(2, backlog) as [Pair, Pair];
  first.connector.lane.sendData(PIECE);
  second.connector.lane.sendData(PIECE);
  assert.equal(backlog.bytes, 2 * PIECE_BYTES);
  second.connector.lane.destroy(new Error("lost"));
  assert.equal(backlog.bytes, PIECE_BYTES);
  await settled(first);
  assert.deepEqual([backlog.bytes, writables(second)], [0, 0]);
});

test("backlog: who goes on in place of a lane that is lost finds all told that it is", async () => {
  const backlog = new Backlog(PIECE_BYTES);
  const [lost, waits] = await answering(2, backlog) as [Pair, Pair];
  lost.connector.lane.sendData(PIECE);
  waits.connector.lane.sendData(PIECE);
  await settled(waits);
  const heard: unknown[] = [];
  waits.connector.owner.handlers[0]!.on = () => {
    heard.push(lost.connector.owner.handlers[0]!.names, lost.connector.owner.closes.length);
  };
  lost.connector.lane.destroy(new Error("lost"));
  assert.deepEqual(heard, [["abort"], 1]);
});

test("backlog: what a lane that leaves has yet to send counts until it has left, or the lane is cut", async () => {
  for (const isCut of [false, true]) {
    const { broker, connector } = lanePair(1);
    broker.lane.begin(encodeRequest(request({ follows: "body" })), "body", new Recorder());
    await settle(broker.stream, connector.stream);
    broker.lane.sendData(PIECE);
    broker.lane.sendEnd([]);
    connector.lane.sendResponse({ ...OK, hasBody: false });
    await turn();
    connector.stream.deliver();
    await turn();
    assert.equal(broker.lane.isOpen, false, "its last exchange has ended");
    const { backlog } = broker.owner;
    assert.equal(backlog.bytes, PIECE_BYTES);
    if (isCut) broker.stream.destroy();
    await settle(broker.stream, connector.stream);
    assert.equal(backlog.bytes, 0);
  }
});
