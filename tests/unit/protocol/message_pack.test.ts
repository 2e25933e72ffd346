import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ProtocolError } from "../../../src/protocol/errors.ts";
import { FRAME_HEADER_BYTES, MAX_DEPTH, MAX_MESSAGE_BYTES } from "../../../src/protocol/limits.ts";
import { packFrame, unpack } from "../../../src/protocol/message_pack.ts";
import { value } from "./arbitraries.ts";
import { assertHolds } from "../../support/property.ts";

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
const roundTrip = (value: unknown) => unpack(packFrame(8, 0, value).subarray(FRAME_HEADER_BYTES));

function assertRefused(bytes: Buffer, what: string): void {
  assert.throws(() => unpack(bytes), (error) => error instanceof ProtocolError, what);
}

test("message pack: what is packed is read back (property)", () => {
  assertHolds(fc.property(value, (value) => assert.deepEqual(roundTrip(value), value)), { numRuns: 500 });
});

test("message pack: all small integers and text of all lengths", () => {
  for (let n = -40; n < 300; n++) assert.equal(roundTrip(n), n);
  for (const n of [0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, Number.MAX_SAFE_INTEGER]) {
    assert.equal(roundTrip(n), n);
  }
  for (const length of [0, 31, 32, 255, 256, 65_535, 65_536, 300_000]) {
    for (const character of ["a", "\xe9", "\u20ac"]) {
      assert.equal(roundTrip(character.repeat(length)), character.repeat(length));
    }
  }
});

test("message pack: declared lengths cost nothing until the bytes are there", () => {
  for (
    const bomb of [
      "dd ffffffff",
      "df ffffffff",
      "db ffffffff",
      "c6 ffffffff",
      "dc ffff",
      "de ffff",
      "da ffff",
      "c5 ffff",
      "d9 ff",
      "c4 ff",
      "9f",
      "8f",
      "bf",
      "dd 00000002 dd ffffffff",
      "dd 00000010 00",
    ]
  ) {
    const before = process.memoryUsage();
    for (let i = 0; i < 100; i++) assertRefused(hex(bomb), bomb);
    const after = process.memoryUsage();
    assert.ok(after.arrayBuffers - before.arrayBuffers < 16 * 1024 * 1024, bomb);
    assert.ok(after.heapUsed - before.heapUsed < 16 * 1024 * 1024, bomb);
  }
});

test("message pack: nesting has a limit, without a stack overflow", () => {
  const nested = (depth: number) => Buffer.concat([Buffer.alloc(depth, 0x91), hex("c0")]);
  unpack(nested(MAX_DEPTH));
  assertRefused(nested(MAX_DEPTH + 1), "arrays");
  assertRefused(nested(1_000_000), "many arrays");
  assertRefused(Buffer.concat([Buffer.alloc(MAX_DEPTH + 1, hex("81a0")), hex("c0")]), "maps");
  // Width is not depth.
  unpack(Buffer.concat([hex("dc03e8"), Buffer.alloc(1000, 0x90)]));
});

test("message pack: extension types, records and the type that is never used are refused", () => {
  for (const type of ["c1", "c7 01 72 00", "c8 0001 72 00", "c9 00000001 72 00", "d4 72 40", "d5 72 4000"]) {
    assertRefused(hex(type), type);
    assertRefused(Buffer.concat([hex("92 00"), hex(type)]), `${type} within`);
  }
  for (const type of ["d6 ff 00000000", `d7 ff ${"00".repeat(8)}`, `d8 62 ${"00".repeat(16)}`]) {
    assertRefused(hex(type), type);
  }
  assert.deepEqual(unpack(hex("93 40 41 7f")), [0x40, 0x41, 0x7f]); // small integers, not records
});

test("message pack: nothing may be missing and nothing may follow", () => {
  const whole = packFrame(8, 0, { type: "x", list: [1, "two", 3.5, true, null, { four: 4 }] })
    .subarray(FRAME_HEADER_BYTES);
  unpack(whole);
  for (let length = 0; length < whole.length; length++) {
    assertRefused(whole.subarray(0, length), `${length} bytes`);
  }
  assertRefused(Buffer.concat([whole, hex("c0")]), "a byte more");
});

test("message pack: keys do not reach the prototype, and double keys are one", () => {
  const key = (name: string) => Buffer.concat([Buffer.from([0xa0 | name.length]), Buffer.from(name)]);
  for (const name of ["__proto__", "constructor", "toString"]) {
    const value = unpack(Buffer.concat([hex("81"), key(name), hex("81"), key("evil"), hex("01")])) as object;
    assert.equal(Object.getPrototypeOf(value), Object.prototype);
    assert.equal((value as { evil?: unknown }).evil, undefined);
  }
  assert.equal(({} as { evil?: unknown }).evil, undefined);
  assert.deepEqual(unpack(Buffer.concat([hex("82"), key("a"), hex("01"), key("a"), hex("02")])), { a: 2 });
  assertRefused(Buffer.concat([hex("81 91 00"), hex("01")]), "a list as key");
  assertRefused(Buffer.concat([hex("81 80"), hex("01")]), "a map as key");
});

test("message pack: random and damaged bytes are a value or a ProtocolError (property)", () => {
  const damaged = fc.tuple(value, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }))
    .map(
      ([value, changes]) => {
        const bytes = Buffer.from(packFrame(8, 0, value).subarray(FRAME_HEADER_BYTES));
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        return bytes;
      },
    );
  assertHolds(
    fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 200 }).map((b) => Buffer.from(b))), (bytes) => {
      try {
        unpack(bytes);
      } catch (error) {
        assert.ok(error instanceof ProtocolError, String(error));
      }
    }),
    { numRuns: 3000 },
  );
});

test("message pack: the largest message takes memory in proportion", () => {
  for (const filler of [0x90, 0x80, 0xc0, 0xa0]) {
    const bytes = Buffer.alloc(MAX_MESSAGE_BYTES, filler);
    bytes[0] = 0xdd;
    bytes.writeUInt32BE(MAX_MESSAGE_BYTES - 5, 1);
    const before = process.memoryUsage().heapUsed;
    const value = unpack(bytes) as unknown[];
    assert.equal(value.length, MAX_MESSAGE_BYTES - 5);
    assert.ok(process.memoryUsage().heapUsed - before < 100 * MAX_MESSAGE_BYTES);
  }
});
