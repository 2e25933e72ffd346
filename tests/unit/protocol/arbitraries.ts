import fc from "fast-check";
import type {
  Abort,
  HeaderList,
  InformationalHead,
  RequestHead,
  ResponseHead,
} from "../../../src/protocol/heads.ts";

/** Text of one character a byte, as header lists have it. */
export const latin1: fc.Arbitrary<string> = fc.uint8Array({ maxLength: 60 }).map((bytes) =>
  Buffer.from(bytes).toString("latin1")
);

export const headerList: fc.Arbitrary<HeaderList> = fc.array(fc.tuple(latin1, latin1), { maxLength: 40 }).map(
  (
    pairs,
  ) => pairs.flat(),
);

/** Objects as parsers make them. */
const PLAIN = { noNullPrototype: true } as const;
const revision = fc.oneof(fc.nat(), fc.maxSafeNat());

export const requestHead: fc.Arbitrary<RequestHead> = fc.record({
  appId: fc.string({ maxLength: 64 }),
  revision,
  method: fc.constantFrom("GET", "POST", "M-SEARCH"),
  target: latin1,
  headers: headerList,
  follows: fc.constantFrom("nothing", "body", "upgrade"),
  msLeft: revision,
  client: fc.record({ ip: fc.oneof(fc.ipV4(), fc.ipV6()), scheme: fc.constantFrom("http", "https") }, PLAIN),
  requestId: fc.string({ maxLength: 64 }),
}, PLAIN);

export const responseHead: fc.Arbitrary<ResponseHead> = fc.record({
  status: fc.oneof(fc.constant(101), fc.integer({ min: 200, max: 999 })),
  reason: latin1,
  headers: headerList,
  hasBody: fc.boolean(),
}, PLAIN);

export const informationalHead: fc.Arbitrary<InformationalHead> = fc.record({
  status: fc.oneof(fc.constant(100), fc.integer({ min: 102, max: 199 })),
  headers: headerList,
}, PLAIN);

export const abort: fc.Arbitrary<Abort> = fc.record({
  code: fc.string({ maxLength: 64, unit: "grapheme-ascii" }),
  begun: fc.boolean(),
}, PLAIN);

/** A value as control messages are made of. */
export const value: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.string(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true }).filter((number) => !Object.is(number, -0)),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc.array(tie("value"), { maxLength: 5 }),
    fc.dictionary(fc.string().filter((key) => key !== "__proto__"), tie("value"), {
      maxKeys: 5,
      noNullPrototype: true,
    }),
  ),
})).value;
