import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ProtocolError } from "../../../src/protocol/errors.ts";
import { FRAME, frameHeader } from "../../../src/protocol/frame.ts";
import {
  encodeAbort,
  encodeCredit,
  encodeEnd,
  encodeInformational,
  encodeRequest,
  encodeResponse,
  type RequestHead,
} from "../../../src/protocol/heads.ts";
import { ABORT_ANSWER_MS } from "../../../src/protocol/limits.ts";
import type { Lane } from "../../../src/tunnel/lane.ts";
import { FakeTimers } from "./fake_timers.ts";
import { type Heard, type LaneEnd, lanePair, Recorder, request } from "./lane_ends.ts";
import { settle, turn } from "./wire.ts";
import { assertHolds } from "../../support/property.ts";

/** What a random schedule may do next. */
type Step =
  | { do: "begin"; follows: RequestHead["follows"] }
  | { do: "respond"; hasBody: boolean }
  | { do: "inform" }
  | { do: "send" | "end" | "abort"; side: "broker" | "connector"; bytes: number }
  | { do: "consume"; side: "broker" | "connector"; share: number }
  | { do: "deliver"; side: "broker" | "connector"; bytes: number }
  | { do: "turn" };

const side = fc.constantFrom<"broker" | "connector">("broker", "connector");
const size = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 400_000 }));
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant("begin" as const),
    follows: fc.constantFrom<RequestHead["follows"]>("nothing", "body", "upgrade"),
  }),
  fc.record({ do: fc.constant("respond" as const), hasBody: fc.boolean() }),
  fc.record({ do: fc.constant("inform" as const) }),
  fc.record({ do: fc.constantFrom("send" as const, "end" as const, "abort" as const), side, bytes: size }),
  fc.record({ do: fc.constantFrom("send" as const, "end" as const), side, bytes: size }),
  fc.record({
    do: fc.constant("consume" as const),
    side,
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  }),
  fc.record({ do: fc.constant("deliver" as const), side, bytes: size }),
  fc.record({ do: fc.constant("deliver" as const), side, bytes: fc.constant(Infinity) }),
  fc.record({ do: fc.constant("turn" as const) }),
);

/** What a handler does on its own within a call: the nested cases. */
type Reflex = "nothing" | "sendEnd" | "abort";
const reflexes = fc.record({
  broker: fc.constantFrom<Reflex>("nothing", "sendEnd", "abort"),
  connector: fc.constantFrom<Reflex>("nothing", "sendEnd", "abort"),
  /** A request waits whenever the lane becomes idle. */
  pressing: fc.boolean(),
});

/** One side of one exchange, and what it may hear. */
class Party extends Recorder {
  readonly place: LaneEnd;
  readonly exchange: number;
  /** `responded`: connector's side. */
  responded = false;
  sent = 0;
  got = 0;
  state: "on" | "over" = "on";
  peerEnded = false;

  constructor(end: LaneEnd, exchange: number) {
    super();
    this.place = end;
    this.exchange = exchange;
    this.on = (what) => this.#check(what);
  }

  get tag(): number {
    return tagOf(this.place.lane.side, this.exchange);
  }

  #check([name, value]: Heard): void {
    assert.equal(this.state, "on", `${name} after the exchange was over`);
    assert.equal(this.place.lane.exchange, this.exchange, `${name} of another exchange`);
    if (name === "data") {
      this.got += (value as Buffer).length;
      const other = tagOf(this.place.lane.side === "broker" ? "connector" : "broker", this.exchange);
      assert.ok((value as Buffer).every((byte) => byte === other), "bytes of another exchange");
      assert.ok(!this.peerEnded);
      this.heard.length = 0;
    }
    if (name === "response" || name === "informational") {
      const headers = (value as { headers: string[] }).headers;
      assert.deepEqual(headers, ["X-Exchange", String(this.exchange)]);
    }
    if (name === "end" || (name === "response" && !(value as { hasBody: boolean }).hasBody)) {
      assert.ok(!this.peerEnded, "second end");
      this.peerEnded = true;
    }
    if (name === "abort") this.state = "over";
  }
}

function tagOf(side: "broker" | "connector", exchange: number): number {
  return ((exchange * 2) & 0xfe) | (side === "broker" ? 1 : 0);
}

class Schedule {
  readonly pair = lanePair();
  readonly parties: Party[] = [];
  readonly #reflexes: { broker: Reflex; connector: Reflex; pressing: boolean };
  #begun = 0;

  constructor(reflexes: { broker: Reflex; connector: Reflex; pressing: boolean }) {
    this.#reflexes = reflexes;
    const { broker, connector } = this.pair;
    connector.owner.begun = (lane: Lane, head: RequestHead) => {
      assert.deepEqual(head.headers, ["X-Exchange", String(lane.exchange)]);
      const party = this.#party(connector, lane.exchange, this.#reflexes.connector);
      if (head.follows === "nothing") party.peerEnded = true;
      lane.accept(party);
    };
    for (const { owner } of [broker, connector]) {
      owner.idle = () => {
        owner.idles += 1;
        for (const party of this.parties) if (party.place.owner === owner) party.state = "over";
        if (owner === broker.owner && this.#reflexes.pressing) this.begin("nothing");
      };
    }
  }

  /** The party of this side in the exchange that its lane carries now. */
  current(side: "broker" | "connector"): Party | undefined {
    const { lane } = this.pair[side];
    return this.parties.findLast((one) => one.place.lane === lane && one.state === "on");
  }

  begin(follows: RequestHead["follows"]): void {
    const { broker } = this.pair;
    if (!broker.lane.isIdle) return;
    const exchange = ++this.#begun;
    const party = this.#party(broker, exchange, this.#reflexes.broker);
    const head = request({ follows, headers: ["X-Exchange", String(exchange)] });
    broker.lane.begin(encodeRequest(head), follows, party);
  }

  #party(end: LaneEnd, exchange: number, reflex: Reflex): Party {
    const party = new Party(end, exchange);
    const check = party.on;
    party.on = (what) => {
      check(what);
      if (reflex === "nothing" || (what[0] !== "end" && what[0] !== "response")) return;
      if (what[0] === "response" && (what[1] as { hasBody: boolean }).hasBody) return;
      if (reflex === "abort") this.abort(party);
      else if (end.lane.side === "broker" || party.responded) end.lane.sendEnd([]);
    };
    this.parties.push(party);
    return party;
  }

  abort(party: Party): void {
    party.state = "over";
    party.place.lane.abort({ code: "cancelled", begun: true });
  }

  async run(step: Step): Promise<void> {
    const { pair } = this;
    if (step.do === "begin") return this.begin(step.follows);
    if (step.do === "turn") return await turn();
    if (step.do === "deliver") return pair[step.side].stream.deliver(step.bytes);
    const party = this.current("side" in step ? step.side : "connector");
    if (party === undefined) return;
    const { lane } = party.place;
    const mayHead = lane.isSending && !party.responded;
    const headers = ["X-Exchange", String(party.exchange)];
    if (step.do === "inform") {
      if (mayHead) lane.sendInformational({ status: 103, headers });
    } else if (step.do === "respond") {
      if (!mayHead) return;
      party.responded = true;
      lane.sendResponse({ status: 200, reason: "", headers, hasBody: step.hasBody });
    } else if (step.do === "consume") {
      if (party.peerEnded) return;
      const bytes = Math.floor(party.unread * step.share);
      party.unread -= bytes;
      lane.consumed(bytes);
    } else if (step.do === "abort") {
      this.abort(party);
    } else if (lane.isSending && (lane.side === "broker" || party.responded)) {
      if (step.do === "end") return lane.sendEnd([]);
      // Whoever does not heed `false` is held back all the same.
      if (party.sent < 2_000_000) party.sent += step.bytes;
      else return;
      lane.sendData(Buffer.alloc(step.bytes, party.tag));
    }
  }

  /** Brings everything to an end and checks that nothing is left. */
  async finish(timers: FakeTimers): Promise<void> {
    const { broker, connector } = this.pair;
    this.#reflexes.pressing = false;
    await settle(broker.stream, connector.stream);
    for (const side of ["broker", "connector"] as const) {
      const party = this.current(side);
      if (party !== undefined) this.abort(party);
      await settle(broker.stream, connector.stream);
    }
    for (const { lane, owner } of [broker, connector]) {
      assert.deepEqual(owner.closes, []);
      assert.ok(lane.isIdle, `${lane.side} is idle`);
      assert.equal(owner.idles, this.#begun);
      for (const party of this.parties) {
        assert.equal(party.state, "over");
        if (party.place.owner === owner) owner.budget.give(party.lingering);
      }
      assert.equal(owner.budget.used, 0);
    }
    assert.equal(timers.count, 0);
    // What was sent and ended well has arrived in full.
    for (const party of this.parties) {
      const other = this.parties.find((one) => one.exchange === party.exchange && one.place !== party.place)!;
      assert.ok(party.got <= other.sent);
    }
  }
}

test("lanes: any interleaving of exchanges and aborts on a reused lane keeps them apart (property)", async () => {
  using timers = new FakeTimers();
  await assertHolds(
    fc.asyncProperty(
      fc.array(step, { minLength: 10, maxLength: 120, size: "max" }),
      reflexes,
      async (steps, reflexes) => {
        const schedule = new Schedule({ ...reflexes });
        try {
          for (const one of steps) await schedule.run(one);
          await schedule.finish(timers);
        } finally {
          schedule.pair.broker.stream.destroy();
          schedule.pair.connector.stream.destroy();
          timers.advance(2 * ABORT_ANSWER_MS);
          await turn();
        }
      },
    ),
    { numRuns: 250 },
  );
});

test("lanes: bodies of all sizes arrive whole, whatever the cuts (property)", async () => {
  await assertHolds(
    fc.asyncProperty(
      fc.array(fc.record({ up: fc.array(size, { maxLength: 5 }), down: fc.array(size, { maxLength: 5 }) }), {
        minLength: 1,
        maxLength: 4,
      }),
      fc.infiniteStream(fc.integer({ min: 1, max: 100_000 })),
      async (exchanges, cuts) => {
        const { broker, connector } = lanePair();
        for (const { up, down } of exchanges) {
          const user = new Recorder();
          const head = request({ follows: "body" });
          broker.lane.begin(encodeRequest(head), "body", user);
          for (const length of up) broker.lane.sendData(Buffer.alloc(length, length));
          broker.lane.sendEnd(["X-Up", "1"]);
          await turn();
          broker.stream.deliver();
          await turn();
          const server = connector.owner.handlers.at(-1)!;
          connector.lane.sendResponse({ status: 200, reason: "OK", headers: [], hasBody: true });
          for (const length of down) connector.lane.sendData(Buffer.alloc(length, length + 1));
          connector.lane.sendEnd([]);
          for (let i = 0; i < 10_000 && !(broker.lane.isIdle && connector.lane.isIdle); i++) {
            const end = i % 2 === 0 ? broker : connector;
            if (!end.stream.hasPending) await turn();
            end.stream.deliver(cuts.next().value);
            for (const [party, { lane }] of [[user, broker], [server, connector]] as const) {
              const { unread } = party;
              party.unread = 0;
              if (unread > 0) lane.consumed(unread);
            }
          }
          assert.ok(broker.lane.isIdle && connector.lane.isIdle);
          assert.ok(server.body.equals(Buffer.concat(up.map((length) => Buffer.alloc(length, length)))));
          assert.ok(user.body.equals(Buffer.concat(down.map((length) => Buffer.alloc(length, length + 1)))));
          assert.deepEqual(server.heard.filter(([name]) => name === "end"), [["end", ["X-Up", "1"]]]);
          broker.owner.budget.give(user.lingering);
          connector.owner.budget.give(server.lingering);
          assert.equal(broker.owner.budget.used + connector.owner.budget.used, 0);
        }
      },
    ),
    { numRuns: 60 },
  );
});

const exchange = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constant(0xffff_ffff));
const headers = fc.constant<string[]>([]);
const anyFrame: fc.Arbitrary<Buffer> = fc.oneof(
  fc.tuple(exchange, fc.constantFrom<RequestHead["follows"]>("nothing", "body", "upgrade")).map(
    ([number, follows]) => {
      const frame = encodeRequest(request({ follows }));
      frame.writeUInt32BE(number, 4);
      return frame;
    },
  ),
  fc.tuple(exchange, fc.boolean()).map(([number, hasBody]) =>
    encodeResponse(number, { status: 200, reason: "", headers: [], hasBody })
  ),
  fc.tuple(exchange, headers).map(([number, headers]) =>
    encodeInformational(number, { status: 103, headers })
  ),
  fc.tuple(exchange, fc.integer({ min: 1, max: 200_000 })).map(([number, length]) =>
    Buffer.concat([frameHeader(FRAME.data, length, number), Buffer.alloc(length)])
  ),
  fc.tuple(exchange, fc.constantFrom(0, 1, 65_536, 0xffff_ffff)).map(([number, n]) =>
    encodeCredit(number, n)
  ),
  exchange.map((number) => encodeEnd(number, [])),
  exchange.map((number) => encodeAbort(number, { code: "x", begun: true })),
  fc.uint8Array({ minLength: 1, maxLength: 30 }).map((bytes) => Buffer.from(bytes)),
);

test("lanes: a peer that sends anything at any time ends a lane with ProtocolError or not at all (property)", async () => {
  using timers = new FakeTimers();
  await assertHolds(
    fc.asyncProperty(
      side,
      fc.array(
        fc.tuple(anyFrame, fc.constantFrom("", "begin", "respond", "send", "end", "abort"), fc.boolean()),
        {
          maxLength: 25,
        },
      ),
      async (which, script) => {
        const end = lanePair()[which];
        const { lane, owner, stream } = end;
        const parties: Recorder[] = owner.handlers;
        for (const [bytes, act, cut] of script) {
          if (act === "begin" && which === "broker" && lane.isIdle) {
            parties.push(new Recorder());
            lane.begin(encodeRequest(request({ follows: "body" })), "body", parties.at(-1)!);
          } else if (act === "respond" && which === "connector") {
            lane.sendResponse({ status: 200, reason: "", headers: [], hasBody: true });
          } else if (act === "send") lane.sendData(Buffer.alloc(1000));
          else if (act === "end") lane.sendEnd([]);
          else if (act === "abort") lane.abort({ code: "mine", begun: true });
          if (stream.destroyed) break;
          stream.push(cut ? bytes.subarray(0, bytes.length >> 1) : bytes);
          if (cut) stream.push(bytes.subarray(bytes.length >> 1));
          await turn();
          stream.pull();
        }
        lane.destroy(new Error("done"));
        await turn();
        assert.equal(owner.closes.length, 1);
        const { error } = owner.closes[0]!;
        assert.ok(error instanceof ProtocolError || error?.message === "done", String(error));
        for (const party of parties) {
          const ends = party.names.filter((name) => name === "end" || name === "abort");
          assert.ok(ends.filter((name) => name === "end").length <= 1);
          assert.ok(!ends.includes("abort") || party.names.at(-1) === "abort");
          owner.budget.give(party.lingering);
        }
        assert.equal(owner.budget.used, 0);
        assert.equal(timers.count, 0);
      },
    ),
    { numRuns: 500 },
  );
});
