import assert from "node:assert/strict";
import { after, test } from "node:test";
import { ProtocolError } from "../../../src/protocol/errors.ts";
import { FRAME, frameHeader } from "../../../src/protocol/frame.ts";
import { MAX_MESSAGE_BYTES } from "../../../src/protocol/limits.ts";
import { encodeMessage } from "../../../src/protocol/messages.ts";
import { ControlChannel, type ControlHandler, type Fields } from "../../../src/tunnel/control_channel.ts";
import { ControlError } from "../../../src/tunnel/errors.ts";
import { FakeTimers } from "./fake_timers.ts";
import { settle, turn, wire } from "./wire.ts";

/** No time passes but where a test says so: a machine that stands still makes nothing come too late. */
const stillness = new FakeTimers();
after(() => stillness[Symbol.dispose]());

class Side implements ControlHandler {
  readonly notices: [string, Fields][] = [];
  readonly closes: (Error | null)[] = [];
  bytes = 0;
  onNotice: () => void = () => {};
  request: ControlHandler["request"] = () => Promise.resolve("unsupported" as const);
  notice(type: string, fields: Fields): void {
    this.notices.push([type, fields]);
    this.onNotice();
  }
  received(bytes: number): void {
    this.bytes += bytes;
  }
  closed(error: Error | null): void {
    this.closes.push(error);
  }
}

function pair() {
  const ends = wire();
  const broker = new Side();
  const connector = new Side();
  return {
    ends,
    broker,
    connector,
    toBroker: new ControlChannel(ends.connector, connector),
    toConnector: new ControlChannel(ends.broker, broker),
    settled: () => settle(ends.broker, ends.connector),
  };
}

const code = (code: string) => (error: { code?: string }) => error.code === code;
const LARGE = "x".repeat(MAX_MESSAGE_BYTES);

test("control channel: request and answer, both ways at once", async () => {
  const { broker, connector, toBroker, toConnector, settled } = pair();
  broker.request = async (type, fields, reply) => await reply({ type: "lost", heard: [type, fields.a] });
  connector.request = async (_type, _fields, reply) => await reply({ b: 2 });
  const answers = Promise.all([
    toBroker.request("hello", { a: 1 }, 1000),
    toConnector.request("stats", {}, 1000),
  ]);
  await settled();
  assert.deepEqual(await answers, [{ heard: ["hello", 1] }, { b: 2 }]);
  assert.ok(broker.bytes > 0);
});

test("control channel: answer in parts, in order; each part may take its time", async () => {
  using timers = new FakeTimers();
  const { broker, toBroker, settled } = pair();
  let go = () => {};
  broker.request = async (_type, _fields, reply) => {
    for (let n = 1; n <= 3; n++) {
      await new Promise<void>((resolve) => go = resolve);
      await reply({ n }, n < 3);
    }
  };
  const parts: unknown[] = [];
  const answer = toBroker.request("config.pull", {}, 1000, (part) => parts.push(part.n));
  for (let n = 0; n < 3; n++) {
    await settled();
    timers.advance(900);
    go();
  }
  await settled();
  assert.deepEqual([parts, await answer], [[1, 2], { n: 3 }]);
  assert.equal(timers.count, 0);
});

test("control channel: what a request throws is answered with its code, and nothing else of it", async () => {
  const { broker, toBroker, settled } = pair();
  for (
    const [thrown, expected, message] of [
      [new ControlError("connector_disabled", "no"), "connector_disabled", "no"],
      [new TypeError("cannot read secret of undefined"), "internal", "Request failed"],
      [{ code: 7, message: "odd" }, "internal", "Request failed"],
      [null, "internal", "Request failed"],
      [{ code: "c", message: LARGE }, "c", undefined],
    ] as const
  ) {
    broker.request = () => Promise.reject(thrown);
    const answer = toBroker.request("hello", {}, 1000);
    const refused = assert.rejects(answer, (error: ControlError) => {
      assert.ok(error instanceof ControlError);
      assert.equal(error.code, expected);
      if (message !== undefined) assert.equal(error.message, message);
      return true;
    });
    await settled();
    await refused;
  }
});

test("control channel: unknown request is answered unsupported, unknown notice is ignored", async () => {
  const { broker, toBroker, settled } = pair();
  const refused = assert.rejects(toBroker.request("from.the.future", {}, 1000), code("unsupported"));
  toBroker.notice("from.the.future", { a: [1] });
  await settled();
  await refused;
  assert.deepEqual(broker.notices, [["from.the.future", { a: [1] }]]);
  assert.ok(toBroker.isOpen);
});

test("control channel: no answer in time; what comes later is ignored", async () => {
  using timers = new FakeTimers();
  const { broker, toBroker, settled } = pair();
  let answer = () => {};
  broker.request = async (_type, _fields, reply) => {
    await new Promise<void>((resolve) => answer = resolve);
    await reply({});
  };
  const refused = assert.rejects(toBroker.request("hello", {}, 1000), code("control_timeout"));
  await settled();
  timers.advance(1000);
  await refused;
  answer();
  await settled();
  assert.ok(toBroker.isOpen);
});

test("control channel: peer that closes fails what waits, and stops its timers", async () => {
  using timers = new FakeTimers();
  for (const how of ["end", "destroy", "error"] as const) {
    const { ends, broker, connector, toBroker, toConnector, settled } = pair();
    broker.request = () => new Promise(() => {});
    const refused = assert.rejects(toBroker.request("hello", {}, 1000), code("control_closed"));
    await settled();
    if (how === "end") toConnector.end();
    else if (how === "destroy") toConnector.destroy(new Error("gone"));
    else ends.connector.destroy(new Error("reset"));
    await settled();
    await refused;
    assert.equal(connector.closes.length, 1);
    // Only an end is peace.
    if (how === "end") assert.deepEqual([connector.closes, broker.closes], [[null], [null]]);
    else assert.ok(connector.closes[0] instanceof Error && broker.closes[0] instanceof Error);
    assert.ok(!toBroker.isOpen && !toConnector.isOpen);
    assert.equal(timers.count, 0);
    await assert.rejects(toBroker.request("hello", {}, 1000), code("control_closed"));
    toBroker.notice("stats");
  }
});

test("control channel: after our own end nothing more is sent, nothing is answered, and both sides part in peace", async () => {
  const { broker, connector, toBroker, toConnector, settled } = pair();
  let go = () => {};
  broker.request = async (_type, _fields, reply) => {
    await new Promise<void>((resolve) => go = resolve);
    await reply({ n: 1 });
  };
  let asked = 0;
  connector.request = (_type, _fields, reply) => {
    asked += 1;
    return reply({});
  };
  const lost = assert.rejects(toBroker.request("stats", {}, 1000), code("control_closed"));
  await turn();
  toBroker.end();
  toBroker.notice("late");
  assert.ok(!toBroker.isOpen);
  const refused = assert.rejects(toConnector.request("too.late", {}, 1000), code("control_closed"));
  await settled();
  go();
  await settled();
  await refused;
  await lost;
  assert.deepEqual([connector.closes, broker.closes, broker.notices, asked], [[null], [null], [], 0]);
});

test("control channel: end within a message is not peace", async () => {
  const { ends, broker } = pair();
  ends.broker.push(encodeMessage({ type: "stats" }).subarray(0, 5));
  ends.broker.push(null);
  await turn();
  assert.ok(broker.closes[0] instanceof ProtocolError);
});

test("control channel: end that is a cut connection is not peace", async () => {
  const { ends, broker } = pair();
  Object.assign(ends.broker, { aborted: true });
  ends.broker.push(null);
  await turn();
  assert.equal((broker.closes[0] as ControlError).code, "control_closed");
});

test("control channel: too many requests of ours are refused here, too many of the peer's are answered so", async () => {
  const { broker, toBroker, settled } = pair();
  let serving = 0;
  broker.request = () => {
    serving += 1;
    return new Promise(() => {});
  };
  const outcomes: string[] = [];
  for (let i = 0; i < 65; i++) {
    toBroker.request("hello", {}, 60_000).catch((error) => outcomes.push(error.code));
  }
  await turn();
  assert.deepEqual(outcomes, ["control_overloaded"]);
  await settled();
  assert.equal(serving, 16);
  assert.equal(outcomes.length, 1 + 64 - 16);
  assert.ok(outcomes.every((one) => one === "control_overloaded"));
  toBroker.destroy(new Error("done"));
  await settled();
});

test("control channel: message over the limit is refused before a byte leaves, and takes up no place", async () => {
  using timers = new FakeTimers();
  const { ends, broker, toBroker, settled } = pair();
  for (let i = 0; i < 70; i++) {
    await assert.rejects(toBroker.request("hello", { LARGE }, 1000), code("protocol_too_large"));
  }
  assert.throws(() => toBroker.notice("stats", { LARGE }), code("protocol_too_large"));
  assert.equal(timers.count, 0);
  assert.equal(ends.connector.inFlight, 0);
  broker.request = async (_type, _fields, reply) => await reply({ LARGE });
  const refused = assert.rejects(toBroker.request("hello", {}, 1000), code("protocol_too_large"));
  await settled();
  await refused;
  assert.ok(toBroker.isOpen);
});

test("control channel: writer of parts waits for a slow reader, and is let go when the channel closes", async () => {
  const { ends, broker, toBroker, toConnector, settled } = pair();
  const warnings: Error[] = [];
  const warned = (warning: Error) => warnings.push(warning);
  process.on("warning", warned);
  let sent = 0;
  let left = 0;
  broker.request = async (_type, _fields, reply) => {
    for (let n = 0; n < 10 && toConnector.isOpen; n++) {
      await reply({ piece: "x".repeat(50_000) }, true);
      sent += 1;
    }
    left += 1;
  };
  for (let i = 0; i < 16; i++) toBroker.request("config.pull", {}, 60_000).catch(() => {});
  await turn();
  ends.connector.deliver();
  await turn();
  assert.ok(sent <= 2, `${sent} parts`);
  ends.broker.deliver();
  await turn();
  assert.ok(sent >= 16, `${sent} parts`);
  toConnector.destroy(new Error("enough"));
  await settled();
  assert.equal(left, 16);
  process.off("warning", warned);
  assert.deepEqual(warnings, []);
});

test("control channel: peer that does not read is closed, nothing grows without end", async () => {
  const { ends, broker, toConnector } = pair();
  const piece = "x".repeat(500_000);
  for (let i = 0; i < 100; i++) toConnector.notice("config.changed", { piece });
  assert.equal((broker.closes[0] as ControlError).code, "control_overloaded");
  assert.equal(broker.closes.length, 1);
  assert.ok(ends.broker.destroyed);
  await turn();
});

test("control channel: messages that follow in the same piece after the channel was given up are not heard", async () => {
  const { ends, broker, toConnector } = pair();
  let asked = 0;
  broker.request = () => {
    asked += 1;
    return Promise.resolve();
  };
  broker.onNotice = () => toConnector.destroy(new Error("enough"));
  ends.broker.push(Buffer.concat([
    encodeMessage({ type: "one" }),
    encodeMessage({ type: "two" }),
    encodeMessage({ type: "three", id: 1 }),
  ]));
  await turn();
  assert.deepEqual([broker.notices.length, asked, broker.closes.length], [1, 0, 1]);
});

test("control channel: what a peer must not send closes the channel", async () => {
  const message = encodeMessage({ type: "stats" });
  const onExchange = Buffer.from(message);
  onExchange.writeUInt32BE(1, 4);
  for (
    const [name, bytes] of [
      ["data", Buffer.concat([frameHeader(FRAME.data, 1, 0), Buffer.alloc(1)])],
      ["end", frameHeader(FRAME.end, 0, 0)],
      ["not MessagePack", Buffer.concat([frameHeader(FRAME.message, 1, 0), Buffer.from([0xc1])])],
      ["no type", Buffer.concat([frameHeader(FRAME.message, 1, 0), Buffer.from([0x80])])],
      ["too large", frameHeader(FRAME.message, MAX_MESSAGE_BYTES + 1, 0)],
      ["an exchange number", onExchange],
    ] as const
  ) {
    const { ends, broker } = pair();
    ends.broker.push(bytes);
    await turn();
    assert.ok(broker.closes[0] instanceof ProtocolError, name);
    assert.equal(broker.closes.length, 1);
  }
});

test("control channel: answers to nothing are ignored", async () => {
  const { ends, broker, toConnector } = pair();
  ends.broker.push(encodeMessage({ type: "reply", id: 99 }));
  ends.broker.push(encodeMessage({ type: "error", id: 99 }));
  await turn();
  assert.ok(toConnector.isOpen);
  assert.deepEqual(broker.notices, []);
});
