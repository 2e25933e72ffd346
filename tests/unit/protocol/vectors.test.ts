import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  FRAME,
  frameHeader,
  type FrameKind,
  ON_CONTROL,
  TOWARDS_BROKER,
  TOWARDS_CONNECTOR,
} from "../../../src/protocol/frame.ts";
import { FrameReader } from "../../../src/protocol/frame_reader.ts";
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
import { encodeMessage, parseMessage } from "../../../src/protocol/messages.ts";
import { fromHex, toHex } from "./hex.ts";

interface Vector {
  name: string;
  kind: keyof typeof FRAME;
  exchange: number;
  value: never;
  hex: string;
}

/** Frames of revision 1, both ways; and frames that it must be able to read although it would not write them so. */
const load = (file: string): Vector[] =>
  JSON.parse(readFileSync(new URL(`./vectors/${file}`, import.meta.url), "utf8"));

const ENCODE: Record<Vector["kind"], (exchange: number, value: never) => Buffer> = {
  request: (_exchange, head) => encodeRequest(head),
  informational: encodeInformational,
  response: encodeResponse,
  data: (exchange, hex) =>
    Buffer.concat([frameHeader(FRAME.data, fromHex(hex).length, exchange), fromHex(hex)]),
  credit: encodeCredit,
  end: encodeEnd,
  abort: encodeAbort,
  message: (_exchange, message) => encodeMessage(message),
};

const PARSE: Record<Vector["kind"], (payload: Buffer) => unknown> = {
  request: parseRequest,
  informational: parseInformational,
  response: parseResponse,
  data: (payload) => toHex(payload),
  credit: (payload) => payload.readUInt32BE(0),
  end: parseEnd,
  abort: parseAbort,
  message: parseMessage,
};

function assertReads({ name, kind, exchange, value, hex }: Vector): void {
  const limits = kind === "request" ? TOWARDS_CONNECTOR : kind === "message" ? ON_CONTROL : TOWARDS_BROKER;
  const seen: [FrameKind, number, Buffer][] = [];
  new FrameReader(limits, {
    frame: (kind, number, payload) => seen.push([kind, number, payload]),
    data: (number, bytes) => seen.push([FRAME.data, number, bytes]),
  }).push(fromHex(hex));
  assert.equal(seen.length, 1, name);
  const [seenKind, number, payload] = seen[0]!;
  assert.deepEqual([seenKind, number, PARSE[kind](payload)], [FRAME[kind], exchange, value], name);
}

test("vectors of revision 1: every frame is written to the byte and read back", () => {
  const vectors = load("revision_1.json");
  for (const vector of vectors) {
    assert.equal(toHex(ENCODE[vector.kind](vector.exchange, vector.value)), vector.hex, vector.name);
    assertReads(vector);
  }
  assert.deepEqual([...new Set(vectors.map(({ kind }) => kind))].sort(), Object.keys(FRAME).sort());
});

test("vectors of revision 1: frames of later revisions and of other encoders are read", () => {
  for (const vector of load("revision_1_read.json")) assertReads(vector);
});
