import {
  FRAME_HEADER_BYTES,
  MAX_ABORT_BYTES,
  MAX_DATA_BYTES,
  MAX_HEAD_BYTES,
  MAX_MESSAGE_BYTES,
  MAX_TRAILER_BYTES,
} from "./limits.ts";

/** Frame kinds, as the first byte of a frame has them. */
export const FRAME = {
  request: 1,
  informational: 2,
  response: 3,
  data: 4,
  credit: 5,
  end: 6,
  abort: 7,
  message: 8,
} as const;

/** One byte of `FRAME`. */
export type FrameKind = typeof FRAME[keyof typeof FRAME];

/** What may be received where: the largest payload by kind, -1 for a kind that has no business there. */
export type FrameLimits = readonly number[];

function limits(table: Partial<Record<keyof typeof FRAME, number>>): FrameLimits {
  const result = new Array<number>(FRAME.message + 1).fill(-1);
  for (const [kind, limit] of Object.entries(table)) result[FRAME[kind as keyof typeof FRAME]] = limit;
  return result;
}

const bothWays = { data: MAX_DATA_BYTES, credit: 4, end: MAX_TRAILER_BYTES, abort: MAX_ABORT_BYTES };

/** What the connector may receive on a lane. */
export const TOWARDS_CONNECTOR: FrameLimits = limits({ ...bothWays, request: MAX_HEAD_BYTES });

/** What the broker may receive on a lane. */
export const TOWARDS_BROKER: FrameLimits = limits({
  ...bothWays,
  informational: MAX_HEAD_BYTES,
  response: MAX_HEAD_BYTES,
});

/** What either side may receive on the control stream. */
export const ON_CONTROL: FrameLimits = limits({ message: MAX_MESSAGE_BYTES });

/** Writes a frame header at the start of `target`, which holds the payload (or will) from byte 8 on. */
export function writeFrameHeader(
  target: Uint8Array,
  kind: FrameKind,
  length: number,
  exchange: number,
): void {
  target[0] = kind;
  target[1] = length >>> 16;
  target[2] = length >>> 8;
  target[3] = length;
  target[4] = exchange >>> 24;
  target[5] = exchange >>> 16;
  target[6] = exchange >>> 8;
  target[7] = exchange;
}

/** A frame header alone, for a payload that is written beside it. */
export function frameHeader(kind: FrameKind, length: number, exchange: number): Buffer {
  const header = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
  writeFrameHeader(header, kind, length, exchange);
  return header;
}
