import assert from "node:assert/strict";
import { after, test } from "node:test";
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
import { Lane, type LaneSide } from "../../../src/tunnel/lane.ts";
import { assertHolds } from "../../support/property.ts";
import { FakeTimers } from "./fake_timers.ts";
import { Owner, Recorder, request } from "./lane_ends.ts";
import { turn, wire } from "./wire.ts";

/** No answer is waited for: what is too late is another test's. */
const stillness = new FakeTimers();
after(() => stillness[Symbol.dispose]());

type Follows = RequestHead["follows"];
const follows = fc.constantFrom<Follows>("nothing", "body", "upgrade");
const size = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(1, 1_000, 40_000) },
  { weight: 1, arbitrary: fc.constantFrom(131_072, 262_144) },
);

const KINDS = ["begin", "response", "informational", "data", "end", "abort", "credit", "odd"] as const;
type Kind = (typeof KINDS)[number];

/** Mostly one or none: a peer that lies all the time is not heard for long. */
const seldom = <T>(usual: T, ...others: T[]) =>
  fc.oneof({ weight: 12, arbitrary: fc.constant(usual) }, {
    weight: 1,
    arbitrary: fc.constantFrom(...others),
  });

/** A frame of the peer: one that may come next, the `choice`th of them, unless `lie` says which. */
const frame = fc.record({
  choice: fc.nat(20),
  lie: seldom<Kind | null>(null, ...KINDS),
  /** How far its exchange number is from the right one. */
  off: seldom(0, -1, 1),
  flag: fc.boolean(),
  credit: seldom(1_000, 0, 400_000, 0xffff_ffff),
  follows,
  size,
  bytes: fc.uint8Array({ minLength: 8, maxLength: 24 }),
});
type Frame = typeof frame extends fc.Arbitrary<infer T> ? T : never;

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("hear" as const), frame, cut: fc.nat(20) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom("respond", "send", "end", "consume", "abort"),
      follows,
      size,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("turn" as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** What is still to come of the peer's direction. */
type Awaited = "head" | "body" | "nothing";

/** What may come next where a peer keeps to the protocol. */
const LEGAL: Readonly<Record<Awaited | `idle ${LaneSide}`, readonly Kind[]>> = {
  "idle broker": ["abort", "credit"],
  "idle connector": ["begin", "begin", "begin", "abort", "credit"],
  head: ["response", "response", "informational", "credit", "abort"],
  body: ["data", "data", "data", "data", "credit", "end", "abort"],
  nothing: ["credit", "credit", "abort"],
};

/** One end of a lane, and a peer of which nothing is believed. */
class End {
  readonly owner = new Owner();
  readonly lane: Lane;
  readonly #stream;
  readonly #recorders: Recorder[] = [];
  #current: Recorder | null = null;
  #awaited: Awaited = "nothing";
  #responded = false;

  constructor(side: LaneSide) {
    this.#stream = wire()[side];
    this.#stream.peer = null;
    this.lane = new Lane(this.#stream, side, this.owner);
    this.owner.begun = (lane, head) => {
      assert.equal(this.#current, null, "a request on a busy lane");
      lane.accept(this.#watched(head.follows === "nothing" ? "nothing" : "body"));
    };
    this.owner.idle = () => void (this.#current = null);
  }

  async run(step: Step): Promise<void> {
    const { lane } = this;
    const recorder = this.#current;
    if (step.do === "turn") {
      this.#stream.pull();
      return await turn();
    }
    if (step.do === "hear") return this.#hear(this.#bytes(step.frame), step.cut);
    if (!("size" in step)) return;
    if (lane.side === "broker" && lane.isIdle) {
      return lane.begin(
        encodeRequest(request({ follows: step.follows })),
        step.follows,
        this.#watched("head"),
      );
    }
    if (recorder === null) return;
    const mayBody = lane.isSending && (lane.side === "broker" || this.#responded);
    if (step.do === "abort") {
      this.#current = null;
      lane.abort({ code: "cancelled", begun: true });
    } else if (step.do === "consume") {
      lane.consumed(recorder.unread);
      recorder.unread = 0;
    } else if (step.do === "respond") {
      if (lane.side === "broker" || this.#responded || !lane.isSending) return;
      this.#responded = true;
      lane.sendResponse({ status: 200, reason: "", headers: [], hasBody: step.size > 1 });
    } else if (mayBody && step.do === "send") lane.sendData(Buffer.alloc(step.size));
    else if (mayBody && step.do === "end") lane.sendEnd([]);
  }

  /** Ends the lane; all that was granted is given back but what whoever took part has still to read. */
  async finish(): Promise<void> {
    this.lane.destroy(new ProtocolError("Cannot go on: the test is over"));
    await turn();
    const { closes, budget } = this.owner;
    assert.equal(closes.length, 1);
    assert.ok(closes[0]!.error instanceof ProtocolError, String(closes[0]!.error));
    assert.equal(budget.used, this.#recorders.reduce((sum, { lingering }) => sum + lingering, 0));
    assert.equal(stillness.count, 0);
  }

  /** Hears in two pieces, cut there. */
  #hear(bytes: Buffer, cut: number): void {
    for (const piece of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
      if (piece.length > 0) this.#stream.emit("data", piece);
    }
  }

  #bytes({ choice, lie, off, flag, credit, follows, size, bytes }: Frame): Buffer {
    const legal = LEGAL[this.lane.isIdle ? `idle ${this.lane.side}` as const : this.#awaited];
    const kind = lie ?? legal[choice % legal.length]!;
    const exchange = (this.lane.exchange + off) >>> 0;
    switch (kind) {
      case "begin": {
        const frame = encodeRequest(request({ follows }));
        frame.writeUInt32BE((exchange + 1) >>> 0, 4);
        return frame;
      }
      case "response":
        return encodeResponse(exchange, { status: flag ? 200 : 101, reason: "", headers: [], hasBody: flag });
      case "informational":
        return encodeInformational(exchange, { status: 103, headers: [] });
      case "data":
        return Buffer.concat([frameHeader(FRAME.data, size, exchange), Buffer.alloc(size)]);
      case "end":
        return encodeEnd(exchange, flag ? ["X-A", "1"] : []);
      case "abort":
        return encodeAbort(exchange, { code: "x", begun: flag });
      case "credit":
        return encodeCredit(exchange, credit);
      default:
        return Buffer.from(bytes);
    }
  }

  /** Somebody who takes part, and holds the lane to the order in which things may be told. */
  #watched(first: Awaited): Recorder {
    const recorder = new Recorder();
    const exchange = this.lane.exchange + (this.lane.side === "broker" ? 1 : 0);
    recorder.on = ([name, value]) => {
      assert.equal(this.#current, recorder, `${name} to one who takes no part any more`);
      assert.equal(this.lane.exchange, exchange);
      if (name === "abort") this.#current = null;
      else if (name === "response") {
        assert.equal(this.#awaited, "head");
        this.#awaited = value.hasBody ? "body" : "nothing";
      } else if (name === "end") {
        assert.equal(this.#awaited, "body");
        this.#awaited = "nothing";
      } else if (name !== "writable") assert.equal(this.#awaited, name === "data" ? "body" : "head", name);
      assert.ok(recorder.unread <= this.owner.budget.used, "more than was granted");
    };
    this.#awaited = first;
    this.#responded = false;
    this.#recorders.push(recorder);
    this.#current = recorder;
    return recorder;
  }
}

for (const side of ["broker", "connector"] as const) {
  test(`Lane, ${side}: whatever its peer sends, nothing is told out of turn and all credit comes back`, async () => {
    await assertHolds(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60, size: "max" }), async (steps) => {
        const end = new End(side);
        for (const one of steps) {
          if (!end.lane.isOpen) break;
          await end.run(one);
        }
        await end.finish();
      }),
      { numRuns: 400 },
    );
  });
}
