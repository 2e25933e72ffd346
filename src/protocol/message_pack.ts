import { Packr, RESERVE_START_SPACE, Unpackr } from "msgpackr";
import { ProtocolError } from "./errors.ts";
import { type FrameKind, writeFrameHeader } from "./frame.ts";
import { FRAME_HEADER_BYTES, MAX_DEPTH } from "./limits.ts";

const options = { useRecords: false, mapsAsObjects: true, moreTypes: false, int64AsType: "number" } as const;
const packr = new Packr(options);
const unpackr = new Unpackr(options);

/** A frame whose payload is `value` in MessagePack, header included, in one piece of memory. */
export function packFrame(kind: FrameKind, exchange: number, value: unknown): Buffer {
  const frame = packr.pack(value, RESERVE_START_SPACE | FRAME_HEADER_BYTES) as Buffer;
  writeFrameHeader(frame, kind, frame.length - FRAME_HEADER_BYTES, exchange);
  return frame;
}

/** Reads one MessagePack value that fills `payload`. Throws `ProtocolError` on anything else, extension types included. */
export function unpack(payload: Buffer): unknown {
  checkShape(payload);
  try {
    return unpackr.unpack(payload);
  } catch (cause) {
    throw new ProtocolError("Cannot read MessagePack: value is malformed", "protocol_error", cause);
  }
}

/** Bytes of a length, then fixed bytes, that follow the first byte of types 0xc0 to 0xdf; -1 is refused. */
const FOLLOWING: readonly (readonly [lengthBytes: number, fixedBytes: number])[] = [
  [0, 0], // c0 nil
  [-1, 0], // c1 never used
  [0, 0], // c2 false
  [0, 0], // c3 true
  [1, 0], // c4 bin 8
  [2, 0], // c5 bin 16
  [4, 0], // c6 bin 32
  [-1, 0], // c7 ext 8
  [-1, 0], // c8 ext 16
  [-1, 0], // c9 ext 32
  [0, 4], // ca float 32
  [0, 8], // cb float 64
  [0, 1], // cc uint 8
  [0, 2], // cd uint 16
  [0, 4], // ce uint 32
  [0, 8], // cf uint 64
  [0, 1], // d0 int 8
  [0, 2], // d1 int 16
  [0, 4], // d2 int 32
  [0, 8], // d3 int 64
  [-1, 0], // d4 fixext 1
  [-1, 0], // d5 fixext 2
  [-1, 0], // d6 fixext 4
  [-1, 0], // d7 fixext 8
  [-1, 0], // d8 fixext 16
  [1, 0], // d9 str 8
  [2, 0], // da str 16
  [4, 0], // db str 32
  [2, 0], // dc array 16
  [4, 0], // dd array 32
  [2, 0], // de map 16
  [4, 0], // df map 32
];

function refuse(why: string): never {
  throw new ProtocolError(`Cannot read MessagePack: ${why}`);
}

/**
 * Walks the value once before anything is made of it, so that a few hostile bytes (a declared array of four thousand
 * million items, nesting without end, an extension type) cost nothing.
 */
function checkShape(bytes: Buffer): void {
  const open: number[] = [];
  let items = 1;
  let at = 0;
  for (;;) {
    while (items === 0) {
      const outer = open.pop();
      if (outer === undefined) {
        if (at !== bytes.length) refuse("bytes follow the value");
        return;
      }
      items = outer;
    }
    items--;
    if (at >= bytes.length) refuse("value is cut off");
    const first = bytes[at++]!;
    let children = 0;
    let container = false;
    if (first < 0x80 || first >= 0xe0) continue;
    if (first >= 0xc0) {
      const [lengthBytes, fixedBytes] = FOLLOWING[first - 0xc0]!;
      if (lengthBytes < 0) refuse(`type 0x${first.toString(16)} is not allowed`);
      at += fixedBytes;
      if (lengthBytes > 0) {
        if (at + lengthBytes > bytes.length) refuse("value is cut off");
        const length = bytes.readUIntBE(at, lengthBytes);
        at += lengthBytes;
        container = first >= 0xdc;
        if (container) children = first >= 0xde ? length * 2 : length;
        else at += length;
      }
    } else if (first >= 0xa0) {
      at += first & 0x1f;
    } else {
      container = true;
      children = first >= 0x90 ? first & 0x0f : (first & 0x0f) * 2;
    }
    if (at > bytes.length) refuse("value is cut off");
    if (!container) continue;
    if (children > bytes.length - at) refuse("container is cut off");
    if (open.length + 1 > MAX_DEPTH) refuse(`nesting is deeper than ${MAX_DEPTH}`);
    open.push(items);
    items = children;
  }
}
