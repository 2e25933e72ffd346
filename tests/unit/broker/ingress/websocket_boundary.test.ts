import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SERVICE_RESTART, WebsocketBoundary } from "../../../../src/broker/ingress/websocket_boundary.ts";
import { assertHolds } from "../../../support/property.ts";

function frame(opcode: number, length: number, masked: boolean): Buffer {
  const mask = masked ? 0x80 : 0;
  const head = [0x80 | opcode];
  if (length < 126) head.push(mask | length);
  else if (length < 65_536) head.push(mask | 126, length >> 8, length & 255);
  else {head.push(
      mask | 127,
      0,
      0,
      0,
      0,
      length >>> 24,
      (length >>> 16) & 255,
      (length >>> 8) & 255,
      length & 255,
    );}
  return Buffer.concat([Buffer.from(head), Buffer.alloc(masked ? 4 : 0, 1), Buffer.alloc(length, 0x81)]);
}

test("between two frames, and only there, another may be put, whatever the pieces (property)", () => {
  const frames = fc.array(
    fc.record({
      opcode: fc.constantFrom(0, 1, 2, 9, 10),
      length: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.constantFrom(125, 126, 65_535, 65_536, 70_000)),
      masked: fc.boolean(),
    }),
    { minLength: 1, maxLength: 6 },
  );
  assertHolds(
    fc.property(frames, fc.array(fc.integer({ min: 1, max: 2_000 }), { minLength: 1 }), (all, sizes) => {
      const pieces = all.map(({ opcode, length, masked }) => frame(opcode, length, masked));
      const bytes = Buffer.concat(pieces);
      const ends = new Set<number>([0]);
      let end = 0;
      for (const piece of pieces) ends.add(end += piece.length);
      const boundary = new WebsocketBoundary();
      let at = 0;
      for (let i = 0; at < bytes.length; i++) {
        const next = Math.min(bytes.length, at + sizes[i % sizes.length]!);
        boundary.push(bytes.subarray(at, next));
        at = next;
        assert.equal(boundary.isOpen, ends.has(at), `after ${at} of ${bytes.length} bytes`);
      }
    }),
  );
});

test("after a close frame there is no place for another", () => {
  const boundary = new WebsocketBoundary();
  boundary.push(SERVICE_RESTART);
  assert.equal(boundary.isOpen, false);
});
