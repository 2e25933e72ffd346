import assert from "node:assert/strict";
import { after, test } from "node:test";
import { ProtocolError } from "../../../src/protocol/errors.ts";
import { FRAME, frameHeader, type FrameKind } from "../../../src/protocol/frame.ts";
import {
  encodeAbort,
  encodeCredit,
  encodeEnd,
  encodeInformational,
  encodeRequest,
  encodeResponse,
  type RequestHead,
} from "../../../src/protocol/heads.ts";
import {
  ABORT_ANSWER_MS,
  INITIAL_CREDIT,
  MAX_CREDIT,
  MAX_HEADER_STRINGS,
  MAX_INFORMATIONAL,
} from "../../../src/protocol/limits.ts";
import { FakeTimers } from "./fake_timers.ts";
import { lanePair, Recorder, request } from "./lane_ends.ts";
import { settle, turn } from "./wire.ts";

const OK = { status: 200, reason: "OK", headers: [], hasBody: true };
const EMPTY = { ...OK, hasBody: false };

/** No time passes but where a test says so: a machine that stands still makes nothing come too late. */
const stillness = new FakeTimers();
after(() => stillness[Symbol.dispose]());

type Pair = ReturnType<typeof lanePair>;

/** Begins an exchange and lets the request arrive. */
async function begin({ broker, connector }: Pair, changes: Partial<RequestHead> = {}) {
  const head = request(changes);
  const user = new Recorder();
  broker.lane.begin(encodeRequest(head), head.follows, user);
  await settle(broker.stream, connector.stream);
  return { user, server: connector.owner.handlers.at(-1)! };
}

const settled = ({ broker, connector }: Pair) => settle(broker.stream, connector.stream);

/** Both ends are idle, nothing is held, nobody waits. */
function assertClean({ broker, connector }: Pair, exchanges: number) {
  for (const { lane, owner } of [broker, connector]) {
    assert.ok(lane.isIdle);
    assert.equal(owner.idles, exchanges);
    assert.equal(owner.budget.used, 0);
    assert.deepEqual(owner.closes, []);
  }
}

/** Frames of what `side` has put on the wire and what has not arrived. */
function frames(bytes: Buffer): { kind: FrameKind; exchange: number; length: number }[] {
  const found = [];
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUIntBE(at + 1, 3);
    found.push({ kind: bytes[at] as FrameKind, exchange: bytes.readUInt32BE(at + 4), length });
    at += 8 + length;
  }
  return found;
}

const kinds = (bytes: Buffer) => frames(bytes).map(({ kind }) => kind);

test("lane: request, response with body, and again on the same lane", async () => {
  const pair = lanePair();
  for (let n = 1; n <= 3; n++) {
    const { user, server } = await begin(pair, { target: `/${n}` });
    assert.equal(pair.connector.owner.begins.at(-1)!.target, `/${n}`);
    pair.connector.lane.sendInformational({ status: 103, headers: ["Link", "x"] });
    pair.connector.lane.sendResponse(OK);
    pair.connector.lane.sendData(Buffer.from(`body ${n}`));
    pair.connector.lane.sendEnd(["X-Sum", "1"]);
    await settled(pair);
    assert.deepEqual(user.names, ["informational", "response", "data", "end"]);
    assert.equal(user.body.toString(), `body ${n}`);
    assert.deepEqual(user.heard.at(-1), ["end", ["X-Sum", "1"]]);
    assert.deepEqual(server.names, []);
    pair.broker.owner.budget.give(user.lingering);
    assertClean(pair, n);
  }
});

test("lane: head, body and end of a small response leave in one write", async () => {
  const pair = lanePair();
  await begin(pair);
  const before = pair.connector.stream.writes;
  pair.connector.lane.sendResponse(OK);
  pair.connector.lane.sendData(Buffer.from("hello"));
  pair.connector.lane.sendEnd([]);
  await turn();
  assert.equal(pair.connector.stream.writes - before, 1);
  assert.deepEqual(kinds(pair.connector.stream.pull()), [FRAME.response, FRAME.data, FRAME.end]);
});

test("lane: head, body and end of a small upload leave in one write", async () => {
  const pair = lanePair();
  pair.broker.lane.begin(encodeRequest(request({ follows: "body" })), "body", new Recorder());
  pair.broker.lane.sendData(Buffer.from("hello"));
  pair.broker.lane.sendEnd([]);
  await turn();
  assert.equal(pair.broker.stream.writes, 1);
});

test("lane: upgrade, both directions flow at once and half-close apart", async () => {
  const pair = lanePair();
  const { user, server } = await begin(pair, { follows: "upgrade" });
  pair.connector.lane.sendResponse({ status: 101, reason: "Switching", headers: [], hasBody: true });
  pair.broker.lane.sendData(Buffer.from("ping"));
  await settled(pair);
  pair.connector.lane.sendData(Buffer.from("pong"));
  pair.broker.lane.sendEnd([]);
  await settled(pair);
  assert.deepEqual(server.names, ["data", "end"]);
  assert.ok(!pair.broker.lane.isSending);
  assert.ok(pair.connector.lane.isSending);
  pair.connector.lane.sendData(Buffer.from(" and more"));
  pair.connector.lane.sendEnd([]);
  await settled(pair);
  assert.equal(user.body.toString(), "pong and more");
  pair.broker.owner.budget.give(user.lingering);
  pair.connector.owner.budget.give(server.lingering);
  assertClean(pair, 1);
});

test("lane: upgrade answered otherwise is an ordinary response", async () => {
  const pair = lanePair();
  const { user } = await begin(pair, { follows: "upgrade" });
  pair.connector.lane.sendResponse({ ...EMPTY, status: 403 });
  await settled(pair);
  assert.deepEqual(user.names, ["response"]);
  assert.ok(!pair.broker.lane.isIdle);
  pair.broker.lane.sendEnd([]);
  await settled(pair);
  assertClean(pair, 1);
});

test("lane: slow reader holds its credit and no more", async () => {
  const pair = lanePair();
  const { user } = await begin(pair);
  pair.connector.lane.sendResponse(OK);
  const piece = Buffer.alloc(INITIAL_CREDIT / 2, 1);
  assert.equal(pair.connector.lane.sendData(piece), false); // the wire's own buffer is full
  for (let i = 0; i < 7; i++) pair.connector.lane.sendData(piece);
  await settled(pair);
  assert.equal(user.unread, INITIAL_CREDIT);
  assert.equal(pair.broker.owner.budget.used, INITIAL_CREDIT);
  pair.broker.lane.consumed(INITIAL_CREDIT);
  user.unread = 0;
  await settled(pair);
  // Drained within a round trip: twice the credit now.
  assert.equal(user.unread, 2 * INITIAL_CREDIT);
  assert.equal(pair.broker.owner.budget.used, 2 * INITIAL_CREDIT);
  pair.broker.lane.abort({ code: "cancelled", begun: true });
  await settled(pair);
  assertClean(pair, 1);
});

test("lane: credit doubles up to its limit while the reader keeps up, not when it is slow", async () => {
  for (const [slow, most] of [[0, MAX_CREDIT], [1000, INITIAL_CREDIT]] as const) {
    const pair = lanePair();
    const { user } = await begin(pair);
    const piece = Buffer.alloc(64 * 1024);
    pair.connector.lane.sendResponse(OK);
    let largest = 0;
    for (let i = 0; i < 8; i++) {
      while (pair.connector.stream.writableLength < 9 * 1024 * 1024 && pair.connector.lane.sendData(piece));
      for (let n = 0; n < 160; n++) pair.connector.lane.sendData(piece);
      await settled(pair);
      largest = Math.max(largest, user.unread);
      pair.broker.owner.time += slow;
      pair.broker.lane.consumed(user.unread);
      user.unread = 0;
      user.heard.length = 0;
    }
    assert.equal(largest, most);
    pair.connector.lane.abort({ code: "x", begun: true });
    await settled(pair);
    assertClean(pair, 1);
  }
});

test("lane: sender is told when it may go on, and the end leaves with the last bytes", async () => {
  const pair = lanePair();
  const { user, server } = await begin(pair);
  pair.connector.lane.sendResponse(OK);
  assert.equal(pair.connector.lane.sendData(Buffer.alloc(INITIAL_CREDIT)), false);
  await settled(pair);
  assert.deepEqual(server.heard, []); // room, but no credit
  pair.broker.lane.consumed(INITIAL_CREDIT);
  user.unread = 0;
  await settled(pair);
  assert.deepEqual(server.heard, [["writable"]]);
  pair.broker.lane.abort({ code: "cancelled", begun: true });
  await settled(pair);
  assertClean(pair, 1);
});

test("lane: end leaves with the last bytes, also when they use the credit up to the last one", async () => {
  const pair = lanePair();
  const { user } = await begin(pair);
  pair.broker.owner.time += 1000;
  pair.connector.lane.sendResponse(OK);
  for (const length of [INITIAL_CREDIT, INITIAL_CREDIT - 1000, 1000]) {
    pair.connector.lane.sendData(Buffer.alloc(length));
  }
  pair.connector.lane.sendEnd([]);
  await settled(pair);
  assert.equal(user.unread, INITIAL_CREDIT);
  pair.broker.lane.consumed(INITIAL_CREDIT);
  await settled(pair);
  assert.equal(user.names.at(-1), "end");
  assert.equal(user.body.length, 2 * INITIAL_CREDIT);
  pair.broker.owner.budget.give(user.lingering);
  assertClean(pair, 1);
});

test("lane: data frames are at most as large as a frame may be", async () => {
  const pair = lanePair();
  await begin(pair);
  pair.connector.lane.sendResponse(OK);
  pair.connector.lane.sendData(Buffer.alloc(0));
  await turn();
  assert.deepEqual(kinds(pair.connector.stream.pull()), [FRAME.response]); // no empty data frame
  pair.connector.stream.push(encodeCredit(1, MAX_CREDIT - INITIAL_CREDIT));
  await turn();
  pair.connector.lane.sendData(Buffer.alloc(600 * 1024));
  await turn();
  const lengths = frames(pair.connector.stream.pull()).map(({ length }) => length);
  assert.deepEqual(lengths, [256 * 1024, 256 * 1024, 88 * 1024]);
});

test("lane: abort reaches the other side although nobody reads the body, and the lane is used again", async () => {
  const pair = lanePair();
  const { user, server } = await begin(pair, { follows: "body" });
  pair.broker.lane.sendData(Buffer.alloc(3 * INITIAL_CREDIT, 7));
  pair.connector.lane.sendResponse(OK);
  pair.connector.lane.sendData(Buffer.alloc(3 * INITIAL_CREDIT, 8));
  await settled(pair);
  pair.broker.lane.abort({ code: "cancelled", begun: true });
  await settled(pair);
  assert.deepEqual(server.heard.at(-1), ["abort", { code: "cancelled", begun: true }]);
  assert.ok(!user.names.includes("abort"));
  assertClean(pair, 1);
  // Nothing of what waited for credit on either side is seen by the next.
  const next = await begin(pair, { follows: "body" });
  pair.broker.lane.sendData(Buffer.from("up"));
  pair.broker.lane.sendEnd([]);
  pair.connector.lane.sendResponse(OK);
  pair.connector.lane.sendData(Buffer.from("down"));
  pair.connector.lane.sendEnd([]);
  await settled(pair);
  assert.deepEqual([next.user.body.toString(), next.server.body.toString()], ["down", "up"]);
  pair.broker.owner.budget.give(next.user.lingering);
  pair.connector.owner.budget.give(next.server.lingering);
  assertClean(pair, 2);
});

test("lane: answered early, the rest of the upload is given up and does not leak into the next", async () => {
  const pair = lanePair();
  const { user, server } = await begin(pair, { follows: "body" });
  pair.broker.lane.sendData(Buffer.alloc(3 * INITIAL_CREDIT, 7));
  await settled(pair);
  user.on = () => pair.broker.lane.abort({ code: "response_complete", begun: true });
  pair.connector.lane.sendResponse(EMPTY);
  await settled(pair);
  assert.equal(server.names.at(-1), "abort");
  assertClean(pair, 1);
  const next = await begin(pair, { follows: "body" });
  pair.broker.lane.sendData(Buffer.from("up"));
  pair.broker.lane.sendEnd([]);
  await settled(pair);
  assert.equal(next.server.body.toString(), "up");
  pair.connector.lane.sendResponse(EMPTY);
  pair.connector.owner.budget.give(next.server.lingering);
  await settled(pair);
  assertClean(pair, 2);
});

test("lane: who gets an abort answers only if its own direction is open", async () => {
  const pair = lanePair();
  await begin(pair);
  pair.connector.lane.abort({ code: "backend_unreachable", begun: false });
  await settled(pair);
  assertClean(pair, 1);
  await begin(pair);
  pair.broker.lane.abort({ code: "cancelled", begun: true });
  await turn();
  pair.broker.stream.deliver();
  await turn();
  assert.deepEqual(kinds(pair.connector.stream.pull()), [FRAME.abort]);
});

test("lane: aborts that cross end the exchange once on each side, with no answers", async () => {
  const pair = lanePair();
  const { user, server } = await begin(pair, { follows: "body" });
  pair.broker.lane.abort({ code: "a", begun: true });
  pair.connector.lane.abort({ code: "b", begun: true });
  await turn();
  const towardsConnector = pair.broker.stream.pull();
  const towardsBroker = pair.connector.stream.pull();
  assert.deepEqual(kinds(towardsBroker), [FRAME.abort]);
  pair.connector.stream.push(towardsConnector);
  pair.broker.stream.push(towardsBroker);
  await turn();
  assert.ok(!pair.broker.stream.hasPending && !pair.connector.stream.hasPending);
  assert.deepEqual([user.names, server.names], [[], []]);
  assertClean(pair, 1);
});

test("lane: its owner is told whether an exchange ended with an answer of the peer's", async () => {
  const { broker, connector } = lanePair();
  const pair = { broker, connector };
  const cancel = () => broker.lane.abort({ code: "cancelled", begun: true });
  const notWanted = () => broker.lane.abort({ code: "response_complete", begun: true });
  const cases: [string, boolean, (user: Recorder) => Promise<void> | void][] = [
    ["a response", true, () => connector.lane.sendResponse(EMPTY)],
    ["an early response, at which the rest is not wanted any more", true, (user) => {
      user.on = notWanted;
      connector.lane.sendResponse(EMPTY);
    }],
    ["an early end, at which the rest is not wanted any more", true, (user) => {
      user.on = ([what]) => what === "end" && notWanted();
      connector.lane.sendResponse(OK);
      connector.lane.sendEnd([]);
    }],
    ["an abort of the peer's own", true, () => connector.lane.abort({ code: "x", begun: true })],
    ["given up before the head", false, cancel],
    ["given up within the body", false, async () => {
      connector.lane.sendResponse(OK);
      await settled(pair);
      cancel();
    }],
    // The answer came when it came: this says nothing of the peer as it is now.
    ["given up after the response", false, async () => {
      connector.lane.sendResponse(EMPTY);
      await settled(pair);
      cancel();
    }],
    ["ended after the response", false, async () => {
      connector.lane.sendResponse(EMPTY);
      await settled(pair);
      broker.lane.sendEnd([]);
    }],
  ];
  for (const [i, [name, isAnswer, run]] of cases.entries()) {
    const { user } = await begin(pair, { follows: i === 0 ? "nothing" : "body" });
    await run(user);
    await settled(pair);
    assert.equal(broker.owner.answers.length, i + 1, name);
    assert.equal(broker.owner.answers[i], isAnswer, name);
  }
  assertClean(pair, cases.length);
});

test("lane: no answer to an abort in time destroys the lane; an answer stops the timer", async () => {
  using timers = new FakeTimers();
  const pair = lanePair();
  const { user } = await begin(pair);
  pair.broker.lane.abort({ code: "cancelled", begun: true });
  assert.equal(timers.count, 1);
  timers.advance(ABORT_ANSWER_MS - 1);
  assert.ok(pair.broker.lane.isOpen);
  timers.advance(1);
  assert.ok(!pair.broker.lane.isOpen);
  assert.ok(pair.broker.stream.destroyed);
  assert.equal((pair.broker.owner.closes[0]!.error as ProtocolError).code, "protocol_error");
  assert.equal(pair.broker.owner.closes[0]!.wasIdle, false);
  assert.deepEqual(user.names, []);
  assert.equal(pair.broker.owner.budget.used, 0);

  const other = lanePair();
  await begin(other);
  other.broker.lane.abort({ code: "cancelled", begun: true });
  await settled(other);
  assert.equal(timers.count, 0);
  assertClean(other, 1);
});

test("lane: an answer to an abort may come behind seconds of bulk, or from a peer that stood still", async () => {
  using timers = new FakeTimers();
  const pair = lanePair();
  await begin(pair);
  pair.broker.lane.abort({ code: "cancelled", begun: true });
  timers.advance(5_000);
  await settled(pair);
  assertClean(pair, 1);
});

test("lane: late credit and abort of the exchange before do not hurt the next", async () => {
  const pair = lanePair();
  const { server } = await begin(pair, { follows: "body" });
  // Answered early; the connector still takes the body, and has not seen its end.
  pair.connector.lane.sendResponse(EMPTY);
  pair.broker.lane.sendData(Buffer.alloc(INITIAL_CREDIT));
  await settled(pair);
  assert.ok(pair.broker.lane.isSending);
  pair.broker.lane.sendEnd([]);
  await turn();
  const held = pair.broker.stream.pull(); // what the connector does not see yet
  pair.connector.lane.consumed(INITIAL_CREDIT); // credit of exchange 1
  pair.connector.lane.abort({ code: "late", begun: true }); // abort of exchange 1
  await turn();
  const late = pair.connector.stream.pull();
  assert.deepEqual(kinds(late), [FRAME.credit, FRAME.abort]);
  assert.ok(pair.broker.lane.isIdle);
  const user = new Recorder();
  pair.broker.lane.begin(encodeRequest(request()), "nothing", user);
  await turn();
  pair.broker.stream.push(late);
  pair.connector.stream.push(held);
  await settled(pair);
  assert.deepEqual(pair.broker.owner.closes, []);
  pair.connector.lane.sendResponse(EMPTY);
  await settled(pair);
  assert.deepEqual(user.names, ["response"]);
  assert.equal(server.names.at(-1), "data");
  assertClean(pair, 2);
});

test("lane: handler that ends or aborts its own direction within `end` or `response` ends the exchange once", async () => {
  for (const answer of [EMPTY, OK]) {
    for (const last of ["sendEnd", "abort"] as const) {
      const pair = lanePair();
      const { broker, connector } = pair;
      const next = new Recorder();
      broker.owner.onIdle = () => {
        // The next request waits already, as it does under load.
        if (broker.owner.idles === 1) broker.lane.begin(encodeRequest(request()), "nothing", next);
      };
      const { user } = await begin(pair, { follows: "body" });
      user.on = ([name]) => {
        if (name !== (answer.hasBody ? "end" : "response")) return;
        if (last === "sendEnd") broker.lane.sendEnd([]);
        else broker.lane.abort({ code: "response_complete", begun: true });
      };
      connector.lane.sendResponse(answer);
      if (answer.hasBody) connector.lane.sendEnd([]);
      await settled(pair);
      assert.equal(broker.owner.idles, 1, `${last} after ${answer.hasBody}`);
      assert.ok(!broker.lane.isIdle);
      connector.lane.sendResponse({ ...EMPTY, status: 204 });
      await settled(pair);
      assert.deepEqual(next.names, ["response"]);
      assertClean(pair, 2);
    }
  }
});

test("lane: handler that destroys the lane in an abort hears no more, and the owner hears of it once", async () => {
  const pair = lanePair();
  const { user } = await begin(pair);
  user.on = () => pair.broker.lane.destroy(new Error("enough"));
  pair.connector.lane.abort({ code: "x", begun: true });
  await settled(pair);
  assert.deepEqual(user.names, ["abort"]);
  assert.equal(pair.broker.owner.idles, 0);
  assert.equal(pair.broker.owner.closes.length, 1);
  assert.equal(pair.broker.owner.closes[0]!.wasIdle, false);
});

test("lane: frames that follow in the same piece after the lane was given up are not heard", async () => {
  for (const give of ["destroy", "retire"] as const) {
    const pair = lanePair();
    const { broker } = pair;
    const { user } = await begin(pair);
    if (give === "destroy") user.on = () => broker.lane.destroy(new Error("enough"));
    else broker.owner.onIdle = (lane) => lane.retire();
    broker.stream.push(Buffer.concat([
      encodeResponse(1, EMPTY),
      encodeAbort(1, { code: "x", begun: true }),
      encodeCredit(1, 1),
    ]));
    await turn();
    assert.deepEqual(user.names, give === "retire" ? ["response"] : ["response", "abort"]);
    assert.equal(broker.owner.idles, give === "retire" ? 1 : 0);
    assert.equal(broker.owner.closes.length, 1);
  }
});

test("lane: what a peer must not send destroys the lane, its exchange is lost", async () => {
  const data = (exchange: number, length: number) =>
    Buffer.concat([frameHeader(FRAME.data, length, exchange), Buffer.alloc(length)]);
  const towardsBroker: [string, Buffer[]][] = [
    ["data before the head", [data(1, 1)]],
    ["end before the head", [encodeEnd(1, [])]],
    ["second response", [encodeResponse(1, OK), encodeResponse(1, OK)]],
    ["informational after the head", [
      encodeResponse(1, OK),
      encodeInformational(1, { status: 103, headers: [] }),
    ]],
    [
      "too many informational",
      Array(MAX_INFORMATIONAL + 1).fill(
        encodeInformational(1, { status: 103, headers: [] }),
      ),
    ],
    ["data of another exchange", [encodeResponse(1, OK), data(2, 1)]],
    ["credit of another exchange", [encodeCredit(2, 1)]],
    ["credit beyond measure", [encodeCredit(1, 0xffff_ffff)]],
    ["more data than credit", [encodeResponse(1, OK), data(1, INITIAL_CREDIT), data(1, 1)]],
    ["request", [encodeRequest(request())]],
    ["unknown kind", [Buffer.from([99, 0, 0, 0, 0, 0, 0, 1])]],
    ["data after the end", [encodeResponse(1, OK), encodeEnd(1, []), data(1, 1)]],
    ["second end", [encodeResponse(1, OK), encodeEnd(1, []), encodeEnd(1, [])]],
  ];
  for (const [name, bytes] of towardsBroker) {
    const pair = lanePair();
    const { user } = await begin(pair, { follows: "body" });
    for (const one of bytes) pair.broker.stream.push(one);
    await turn();
    assert.deepEqual(user.heard.at(-1), ["abort", { code: "tunnel_lost", begun: true }], name);
    assert.ok(pair.broker.owner.closes[0]!.error instanceof ProtocolError, name);
    pair.broker.owner.budget.give(user.lingering);
    assert.equal(pair.broker.owner.budget.used, 0, name);
  }
  const towardsConnector: [string, Buffer[]][] = [
    ["request on a busy lane", [encodeRequest(request())]],
    ["response", [encodeResponse(1, OK)]],
    ["late credit of the exchange before", [encodeCredit(0, 1)]],
  ];
  for (const [name, bytes] of towardsConnector) {
    const pair = lanePair();
    const { server } = await begin(pair);
    for (const one of bytes) pair.connector.stream.push(one);
    await turn();
    assert.equal(server.names.at(-1), "abort", name);
    assert.ok(pair.connector.owner.closes[0]!.error instanceof ProtocolError, name);
  }
});

test("lane: idle lane takes a late abort and credit, and nothing else", async () => {
  for (
    const [frame, good] of [
      [encodeAbort(1, { code: "late", begun: true }), true],
      [encodeCredit(1, 5), true],
      [encodeEnd(1, []), false],
      [encodeResponse(1, OK), false],
      [encodeResponse(2, OK), false],
    ] as const
  ) {
    const pair = lanePair();
    await begin(pair);
    pair.connector.lane.sendResponse(EMPTY);
    await settled(pair);
    pair.broker.stream.push(frame);
    await turn();
    assert.equal(pair.broker.lane.isIdle, good);
    assert.equal(pair.broker.owner.closes.length, good ? 0 : 1);
  }
});

test("lane: response that does not fit into a frame ends the exchange on both sides, the lane stays", async () => {
  const many = Array(MAX_HEADER_STRINGS + 2).fill("x");
  for (const headers of [many, ["x", "y".repeat(200_000)]]) {
    for (const where of ["response", "trailers"]) {
      const pair = lanePair();
      const { user, server } = await begin(pair);
      if (where === "trailers") pair.connector.lane.sendResponse(OK);
      if (where === "trailers") pair.connector.lane.sendEnd(headers);
      else pair.connector.lane.sendResponse({ ...OK, headers });
      pair.connector.lane.sendData(Buffer.from("not sent"));
      await settled(pair);
      const lost = ["abort", { code: "head_too_large", begun: true }];
      assert.deepEqual(user.heard.at(-1), lost);
      assert.deepEqual(server.heard.at(-1), lost);
      assertClean(pair, 1);
    }
  }
});

test("lane: informational responses that are too large or too many are left out", async () => {
  const pair = lanePair();
  const { user } = await begin(pair);
  pair.connector.lane.sendInformational({ status: 103, headers: ["x", "y".repeat(200_000)] });
  for (let i = 0; i < 2 * MAX_INFORMATIONAL; i++) {
    pair.connector.lane.sendInformational({ status: 103, headers: [] });
  }
  pair.connector.lane.sendResponse(EMPTY);
  await settled(pair);
  assert.equal(user.names.filter((name) => name === "informational").length, MAX_INFORMATIONAL);
  assert.equal(user.names.at(-1), "response");
  assertClean(pair, 1);
});

test("lane: retired in peace, by the broker, both ends say so", async () => {
  const pair = lanePair();
  await begin(pair);
  assert.throws(() => pair.broker.lane.retire());
  pair.connector.lane.sendResponse(EMPTY);
  await settled(pair);
  pair.broker.lane.retire();
  await settled(pair);
  assert.deepEqual(pair.broker.owner.closes, [{ error: null, wasIdle: true }]);
  assert.deepEqual(pair.connector.owner.closes, [{ error: null, wasIdle: true }]);
});

test("lane: retired by the broker after its last exchange number, response and all", async () => {
  const pair = lanePair(2);
  for (const n of [1, 2]) {
    const { user } = await begin(pair);
    pair.connector.lane.sendResponse(EMPTY);
    await settled(pair);
    assert.deepEqual(user.names, ["response"], `exchange ${n}`);
  }
  assert.equal(pair.broker.owner.idles, 1);
  assert.deepEqual(pair.broker.owner.closes, [{ error: null, wasIdle: false }]);
  assert.deepEqual(pair.connector.owner.closes, [{ error: null, wasIdle: true }]);
});

test("lane: stream that ends, breaks or closes within an exchange loses it", async () => {
  for (const how of ["end", "error", "close"] as const) {
    const pair = lanePair();
    const { user } = await begin(pair, { follows: "body" });
    if (how === "end") pair.broker.stream.push(null);
    else pair.broker.stream.destroy(how === "error" ? new Error("reset") : undefined);
    await turn();
    assert.deepEqual(user.heard, [["abort", { code: "tunnel_lost", begun: true }]], how);
    assert.equal(pair.broker.owner.closes.length, 1);
    assert.ok(pair.broker.owner.closes[0]!.error instanceof Error);
    assert.equal(pair.broker.owner.closes[0]!.wasIdle, false);
    assert.equal(pair.broker.owner.budget.used, 0);
    await settled(pair);
    assert.equal(pair.connector.owner.closes.length, 1);
  }
});

test("lane: idle lane that is cut is not one that left in peace", async () => {
  const pair = lanePair();
  pair.broker.stream.destroy();
  await settled(pair);
  for (const { owner } of [pair.broker, pair.connector]) {
    assert.equal((owner.closes[0]!.error as { code?: string }).code, "control_closed");
    assert.equal(owner.closes[0]!.wasIdle, true);
  }
});

test("lane: bytes that nobody has read at the end stay in the budget until they are given back", async () => {
  const pair = lanePair();
  const { user } = await begin(pair);
  pair.connector.lane.sendResponse(OK);
  pair.connector.lane.sendData(Buffer.alloc(1000));
  pair.connector.lane.sendEnd([]);
  await settled(pair);
  assert.equal(user.lingering, 1000);
  assert.equal(pair.broker.owner.budget.used, 1000);
  pair.broker.lane.consumed(1000); // too late: of no effect
  assert.equal(pair.broker.owner.budget.used, 1000);
  assert.deepEqual(kinds(pair.broker.stream.pull()), []);
});
