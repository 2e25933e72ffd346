import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ProtocolError } from "../../../src/protocol/errors.ts";
import {
  FRAME,
  frameHeader,
  type FrameKind,
  ON_CONTROL,
  TOWARDS_BROKER,
  TOWARDS_CONNECTOR,
  writeFrameHeader,
} from "../../../src/protocol/frame.ts";
import { FrameReader, type FrameSink } from "../../../src/protocol/frame_reader.ts";
import {
  encodeAbort,
  encodeCredit,
  encodeEnd,
  encodeInformational,
  encodeResponse,
} from "../../../src/protocol/heads.ts";
import {
  FRAME_HEADER_BYTES,
  MAX_ABORT_BYTES,
  MAX_DATA_BYTES,
  MAX_HEAD_BYTES,
  MAX_MESSAGE_BYTES,
  MAX_TRAILER_BYTES,
} from "../../../src/protocol/limits.ts";
import { assertHolds } from "../../support/property.ts";

type Call = { kind: FrameKind; exchange: number; payload: string };

/** What a reader has said: data that follows data of the same exchange counts as one. */
class Calls implements FrameSink {
  readonly list: Call[] = [];
  frame(kind: FrameKind, exchange: number, payload: Buffer): void {
    this.list.push({ kind, exchange, payload: payload.toString("hex") });
  }
  data(exchange: number, bytes: Buffer): void {
    assert.ok(bytes.length > 0);
    const last = this.list.at(-1);
    if (last?.kind === FRAME.data && last.exchange === exchange) last.payload += bytes.toString("hex");
    else this.list.push({ kind: FRAME.data, exchange, payload: bytes.toString("hex") });
  }
}

function read(pieces: Buffer[], limits = TOWARDS_BROKER): { calls: Call[]; reader: FrameReader } {
  const calls = new Calls();
  const reader = new FrameReader(limits, calls);
  for (const piece of pieces) reader.push(piece);
  return { calls: calls.list, reader };
}

const dataFrame = (exchange: number, bytes: Buffer) =>
  Buffer.concat([frameHeader(FRAME.data, bytes.length, exchange), bytes]);

const EXCHANGE = Buffer.concat([
  encodeInformational(9, { status: 103, headers: ["Link", "</a>"] }),
  encodeResponse(9, { status: 200, reason: "OK", headers: ["A", "1", "a", "2"], hasBody: true }),
  dataFrame(9, Buffer.from("hello")),
  encodeCredit(9, 77),
  dataFrame(9, Buffer.from("x")),
  encodeEnd(9, ["T", "1"]),
  encodeEnd(10, []),
  encodeAbort(11, { code: "x", begun: false }),
]);

test("frame reader: the same calls at every cut point, also byte by byte", () => {
  const { calls: whole, reader } = read([EXCHANGE]);
  assert.equal(whole.length, 8);
  assert.ok(reader.atBoundary);
  for (let at = 0; at <= EXCHANGE.length; at++) {
    assert.deepEqual(read([EXCHANGE.subarray(0, at), EXCHANGE.subarray(at)]).calls, whole, `cut at ${at}`);
  }
  assert.deepEqual(read([...EXCHANGE].map((byte) => Buffer.from([byte]))).calls, whole);
});

const frame = fc.oneof(
  fc.tuple(fc.nat(9), fc.uint8Array({ minLength: 1, maxLength: 3000 })).map(([n, b]) =>
    dataFrame(n, Buffer.from(b))
  ),
  fc.tuple(
    fc.constantFrom(FRAME.informational, FRAME.response, FRAME.end),
    fc.nat(9),
    fc.uint8Array({ maxLength: 9000 }),
  )
    .map(([kind, n, b]) => Buffer.concat([frameHeader(kind, b.length, n), b])),
  fc.tuple(fc.nat(9), fc.nat()).map(([n, bytes]) => encodeCredit(n, bytes)),
);

test("frame reader: the same calls at random cuts, input reused after each piece (property)", () => {
  assertHolds(fc.property(fc.array(frame, { maxLength: 12 }), fc.array(fc.nat(4000)), (frames, cuts) => {
    const bytes = Buffer.concat(frames);
    const { calls: whole } = read([bytes]);
    const calls = new Calls();
    const reader = new FrameReader(TOWARDS_BROKER, calls);
    for (let at = 0, i = 0; at < bytes.length; i++) {
      const length = 1 + (cuts[i % Math.max(cuts.length, 1)] ?? bytes.length);
      const piece = Buffer.from(bytes.subarray(at, at + length));
      reader.push(piece);
      piece.fill(0xee); // whoever lent it may use it again
      at += length;
    }
    assert.deepEqual(calls.list, whole);
    assert.ok(reader.atBoundary);
  }));
});

test("frame reader: says where a stream may end", () => {
  const { reader } = read([]);
  assert.ok(reader.atBoundary);
  assert.ok(!read([encodeCredit(1, 1).subarray(0, 1)]).reader.atBoundary);
  assert.ok(!read([frameHeader(FRAME.data, 1, 1)]).reader.atBoundary);
  assert.ok(!read([encodeCredit(1, 1).subarray(0, 11)]).reader.atBoundary);
  assert.ok(read([frameHeader(FRAME.end, 0, 1)]).reader.atBoundary);
});

test("frame reader: every kind has its limit where it may come, and may not come elsewhere", () => {
  const both = { data: MAX_DATA_BYTES, credit: 4, end: MAX_TRAILER_BYTES, abort: MAX_ABORT_BYTES };
  const places = [
    [TOWARDS_CONNECTOR, { ...both, request: MAX_HEAD_BYTES }],
    [TOWARDS_BROKER, { ...both, informational: MAX_HEAD_BYTES, response: MAX_HEAD_BYTES }],
    [ON_CONTROL, { message: MAX_MESSAGE_BYTES }],
  ] as const;
  for (const [limits, allowed] of places) {
    for (const [name, kind] of Object.entries(FRAME)) {
      const limit = (allowed as Record<string, number>)[name];
      const header = (length: number) => frameHeader(kind, length, 1);
      if (limit === undefined) {
        for (const length of [0, 1, 4, 5000]) {
          assert.throws(() => read([header(length)], limits), ProtocolError, name);
        }
      } else {
        read([header(limit)], limits);
        assert.throws(() => read([header(limit + 1)], limits), ProtocolError, name);
      }
    }
    for (const kind of [0, 9, 100, 255]) {
      assert.throws(() => read([frameHeader(kind as FrameKind, 0, 1)], limits), ProtocolError);
    }
  }
  assert.throws(() => read([frameHeader(FRAME.data, 0, 1)]), ProtocolError);
  assert.throws(() => read([frameHeader(FRAME.credit, 3, 1)]), ProtocolError);
  assert.throws(() => read([frameHeader(FRAME.credit, 0, 1)]), ProtocolError);
});

test("frame reader: a declared length takes no memory before its bytes arrive", () => {
  const readers: FrameReader[] = [];
  const before = process.memoryUsage();
  for (let i = 0; i < 500; i++) {
    readers.push(read([frameHeader(FRAME.message, MAX_MESSAGE_BYTES, 0)], ON_CONTROL).reader);
  }
  const declared = process.memoryUsage();
  assert.ok(declared.arrayBuffers - before.arrayBuffers < 1024 * 1024, "500 MiB declared");
  for (const reader of readers) reader.push(Buffer.alloc(100));
  const begun = process.memoryUsage();
  assert.ok(begun.arrayBuffers - before.arrayBuffers < 500 * 4096 + 1024 * 1024, "100 bytes of each");
});

test("frame reader: what it collects stays below twice what has come, and below the limit", () => {
  const allocated: number[] = [];
  const real = Buffer.allocUnsafe;
  const frame = Buffer.concat([
    frameHeader(FRAME.message, MAX_MESSAGE_BYTES, 0),
    Buffer.alloc(MAX_MESSAGE_BYTES, 7),
  ]);
  const { reader } = read([], ON_CONTROL);
  let arrived = 0;
  Buffer.allocUnsafe = ((size: number) => {
    allocated.push(size);
    assert.ok(size <= Math.max(4096, 2 * arrived), `${size} for ${arrived}`);
    assert.ok(size <= MAX_MESSAGE_BYTES);
    return real(size);
  }) as typeof Buffer.allocUnsafe;
  try {
    for (let at = 0; at < frame.length; at += 1000) {
      arrived = at + 1000;
      reader.push(frame.subarray(at, at + 1000));
    }
  } finally {
    Buffer.allocUnsafe = real;
  }
  assert.ok(allocated.length < 12);
  assert.ok(reader.atBoundary);
});

test("frame reader: data and whole frames are handed on without a copy", () => {
  const bytes = Buffer.alloc(1000, 1);
  const input = Buffer.concat([dataFrame(1, bytes), encodeEnd(1, ["a", "b"])]);
  const seen: Buffer[] = [];
  new FrameReader(TOWARDS_BROKER, {
    frame: (_kind, _exchange, payload) => seen.push(payload),
    data: (_exchange, payload) => seen.push(payload),
  }).push(input);
  assert.equal(seen.length, 2);
  for (const view of seen) assert.equal(view.buffer, input.buffer);
});

test("frame reader: random bytes are frames or a ProtocolError, and take little memory (property)", () => {
  const header = fc.tuple(fc.integer({ min: 0, max: 9 }), fc.oneof(fc.nat(20), fc.nat(0xff_ffff)), fc.nat())
    .map((
      [kind, length, exchange],
    ) => {
      const bytes = Buffer.alloc(FRAME_HEADER_BYTES);
      writeFrameHeader(bytes, kind as FrameKind, length, exchange);
      return bytes;
    });
  const pieces = fc.array(fc.oneof(header, fc.uint8Array({ maxLength: 40 }).map((b) => Buffer.from(b))), {
    maxLength: 30,
  });
  assertHolds(
    fc.property(pieces, fc.constantFrom(TOWARDS_BROKER, TOWARDS_CONNECTOR, ON_CONTROL), (pieces, limits) => {
      try {
        read(pieces, limits);
      } catch (error) {
        assert.ok(error instanceof ProtocolError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

test("frame reader: what the sink throws reaches the caller", () => {
  const error = new Error("no");
  const reader = new FrameReader(TOWARDS_BROKER, {
    frame: () => {
      throw error;
    },
    data: () => {},
  });
  assert.throws(() => reader.push(encodeEnd(1, [])), error);
});
