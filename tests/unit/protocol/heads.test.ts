import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ProtocolError } from "../../../src/protocol/errors.ts";
import {
  encodeAbort,
  encodeCredit,
  encodeEnd,
  encodeInformational,
  encodeRequest,
  encodeResponse,
  parseAbort,
  parseEnd,
  parseInformational,
  parseRequest,
  parseResponse,
} from "../../../src/protocol/heads.ts";
import {
  FRAME_HEADER_BYTES,
  MAX_ABORT_BYTES,
  MAX_HEAD_BYTES,
  MAX_HEADER_STRINGS,
} from "../../../src/protocol/limits.ts";
import { packFrame } from "../../../src/protocol/message_pack.ts";
import { abort, headerList, informationalHead, requestHead, responseHead } from "./arbitraries.ts";
import { assertHolds } from "../../support/property.ts";

const payload = (frame: Buffer) => frame.subarray(FRAME_HEADER_BYTES);
const code = (code: string) => (error: { code?: string }) =>
  error instanceof ProtocolError && error.code === code;
const pack = (value: unknown) => payload(packFrame(1, 0, value));
const exchange = fc.integer({ min: 0, max: 0xffff_ffff });

test("heads: what is encoded is read back (property)", () => {
  assertHolds(fc.property(requestHead, (head) => {
    assert.deepEqual(parseRequest(payload(encodeRequest(head))), head);
  }));
  assertHolds(fc.property(exchange, responseHead, (number, head) => {
    const frame = encodeResponse(number, head);
    assert.equal(frame.readUInt32BE(4), number);
    assert.deepEqual(parseResponse(payload(frame)), head);
  }));
  assertHolds(fc.property(exchange, informationalHead, (number, head) => {
    assert.deepEqual(parseInformational(payload(encodeInformational(number, head))), head);
  }));
  assertHolds(fc.property(exchange, headerList, (number, trailers) => {
    assert.deepEqual(parseEnd(payload(encodeEnd(number, trailers))), trailers);
  }));
  assertHolds(fc.property(exchange, abort, (number, reason) => {
    assert.deepEqual(parseAbort(payload(encodeAbort(number, reason))), reason);
  }));
  assertHolds(fc.property(exchange, exchange, (number, bytes) => {
    const frame = encodeCredit(number, bytes);
    assert.deepEqual([frame.length, frame.readUInt32BE(4), frame.readUInt32BE(8)], [12, number, bytes]);
  }));
});

test("heads: any value in place of any field is read or is a ProtocolError (property)", () => {
  const field = fc.oneof(
    fc.constantFrom<unknown>(null, true, -1, 1.5, 101, 200, "x", [], ["a"], {}),
    fc.anything({
      withBigInt: false,
      withMap: false,
      withSet: false,
      maxDepth: 2,
    }),
  );
  const parsers = [parseRequest, parseResponse, parseInformational, parseEnd, parseAbort];
  assertHolds(
    fc.property(
      fc.oneof(fc.array(field, { maxLength: 11 }), field),
      fc.constantFrom(...parsers),
      (value, parse) => {
        let bytes: Buffer;
        try {
          bytes = pack(value);
        } catch {
          return; // Not a value that MessagePack has.
        }
        try {
          parse(bytes);
        } catch (error) {
          assert.ok(error instanceof ProtocolError, String(error));
        }
      },
    ),
    { numRuns: 1000 },
  );
});

test("heads: unknown extra fields are ignored, missing ones are refused", () => {
  const request = ["a", 1, "GET", "/", [], 0, 0, ["192.0.2.1", "http", "extra"], "r1"];
  assert.equal(parseRequest(pack([...request, "extra", { more: 1 }])).appId, "a");
  assert.throws(() => parseRequest(pack(request.slice(0, 8))), code("protocol_error"));
  assert.equal(parseResponse(pack([200, "", [], true, 1])).status, 200);
  assert.throws(() => parseResponse(pack([200, "", []])), code("protocol_error"));
  assert.equal(parseInformational(pack([103, [], 1])).status, 103);
  assert.equal(parseAbort(pack(["x", true, 1])).code, "x");
  assert.deepEqual(parseEnd(pack([["a", "b"], 1])), ["a", "b"]);
});

test("heads: values out of range are refused", () => {
  const request = (changes: Record<number, unknown>) =>
    pack(Object.assign(["a", 1, "GET", "/", [], 0, 0, ["192.0.2.1", "http"], "r1"], changes));
  for (
    const changes of [
      { 0: 1 },
      { 1: -1 },
      { 1: 1.5 },
      { 1: 2 ** 60 },
      { 2: null },
      { 4: ["a"] },
      { 4: ["a", 1] },
      { 4: Array(MAX_HEADER_STRINGS + 2).fill("a") },
      { 5: 3 },
      { 5: "body" },
      { 7: "192.0.2.1" },
      { 7: [] },
      { 8: 1 },
    ]
  ) assert.throws(() => parseRequest(request(changes)), code("protocol_error"), JSON.stringify(changes));
  for (const status of [0, 99, 100, 102, 199, 1000, "200", 200.5]) {
    assert.throws(() => parseResponse(pack([status, "", [], true])), code("protocol_error"), `${status}`);
  }
  for (const status of [99, 101, 200]) {
    assert.throws(() => parseInformational(pack([status, []])), code("protocol_error"), `${status}`);
  }
});

test("heads: what the peer would not take is not encoded", () => {
  const head = { status: 200, reason: "", headers: [] as string[], hasBody: true };
  const client = { ip: "192.0.2.1", scheme: "http" };
  const request = {
    appId: "a",
    revision: 1,
    method: "GET",
    target: "/",
    headers: [] as string[],
    follows: "nothing" as const,
    msLeft: 0,
    client,
    requestId: "r",
  };
  for (const headers of [Array(MAX_HEADER_STRINGS + 2).fill("a"), ["a", "b".repeat(MAX_HEAD_BYTES)]]) {
    assert.throws(() => encodeRequest({ ...request, headers }), code("protocol_too_large"));
    assert.throws(() => encodeResponse(1, { ...head, headers }), code("protocol_too_large"));
    assert.throws(() => encodeInformational(1, { status: 103, headers }), code("protocol_too_large"));
    assert.throws(() => encodeEnd(1, headers), code("protocol_too_large"));
  }
});

test("heads: a head of 64 KiB fits, whatever its bytes", () => {
  const value = "\xff".repeat(65_536 / 256 - 8);
  const headers = Array.from({ length: MAX_HEADER_STRINGS }, (_, i) => i % 2 === 0 ? `X-${i}` : value);
  const head = { status: 200, reason: "OK", headers, hasBody: true };
  assert.deepEqual(parseResponse(payload(encodeResponse(1, head))), head);
  const one = { ...head, headers: ["X", "\xff".repeat(65_536)] };
  assert.deepEqual(parseResponse(payload(encodeResponse(1, one))), one);
});

test("heads: an abort fits, whatever its code", () => {
  const frame = encodeAbort(1, { code: "\u20ac".repeat(100_000), begun: true });
  assert.ok(payload(frame).length <= MAX_ABORT_BYTES);
  assert.equal(parseAbort(payload(frame)).begun, true);
});
