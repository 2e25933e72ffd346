import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EnrolmentFormatError } from "../../../src/protocol/enrolment_errors.ts";
import {
  encodeEnrolmentToken,
  ENROLMENT_TOKEN_MAX_LENGTH,
  type EnrolmentTokenContent,
  parseEnrolmentToken,
} from "../../../src/protocol/enrolment_token.ts";
import { assertHolds } from "../../support/property.ts";

const CONTENT: EnrolmentTokenContent = {
  brokerAddress: "broker.example.com:443",
  tunnelName: "tunnel.broker.example.com",
  enrolName: "enrol.broker.example.com",
  caFingerprint: "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
  secret: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
};

const GOLDEN =
  "spt1_tf9HCQARIjNEVWZ3iJmqu8zd7v8AESIzRFVmd4iZqrvM3e7_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9bImJyb2tlci5leGFtcGxlLmNvbTo0NDMiLCJ0dW5uZWwuYnJva2VyLmV4YW1wbGUuY29tIiwiZW5yb2wuYnJva2VyLmV4YW1wbGUuY29tIl0";

function reason(value: unknown): unknown {
  try {
    parseEnrolmentToken(value);
  } catch (error) {
    assert.ok(error instanceof EnrolmentFormatError);
    assert.equal(error.code, "token_malformed");
    return error.details.reason;
  }
  return "accepted";
}

const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
const name = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join("."));
const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes));
const content = fc.record({
  brokerAddress: fc.tuple(fc.oneof(name, fc.constant("[2001:db8::1]")), fc.integer({ min: 1, max: 65_535 }))
    .map(([host, port]) => `${host}:${port}`),
  tunnelName: name,
  enrolName: name,
  caFingerprint: bytes32.map((bytes) => bytes.toString("hex")),
  secret: bytes32.map((bytes) => bytes.toString("base64url")),
}, { noNullPrototype: true });

test("enrolment token: the golden token of form 1 is written and read unchanged", () => {
  assert.equal(encodeEnrolmentToken(CONTENT), GOLDEN);
  assert.deepEqual(parseEnrolmentToken(GOLDEN), CONTENT);
});

test("enrolment token: every content comes back as it was", () => {
  assertHolds(
    fc.property(
      content,
      (value) => assert.deepEqual(parseEnrolmentToken(encodeEnrolmentToken(value)), value),
    ),
  );
});

test("enrolment token: white space of line wraps is ignored", () => {
  assert.deepEqual(parseEnrolmentToken(`  ${GOLDEN.replace(/.{40}/g, "$&\r\n ")}\n`), CONTENT);
});

test("enrolment token: cut off anywhere, it is called damaged", () => {
  for (let length = "spt1_".length; length < GOLDEN.length; length++) {
    assert.equal(reason(GOLDEN.slice(0, length)), "damaged");
  }
});

test("enrolment token: any one character altered is noticed", () => {
  for (let at = "spt1_".length; at < GOLDEN.length; at++) {
    const other = GOLDEN[at] === "A" ? "B" : "A";
    assert.equal(reason(GOLDEN.slice(0, at) + other + GOLDEN.slice(at + 1)), "damaged", `position ${at}`);
  }
});

test("enrolment token: what is no token says why", () => {
  assert.equal(reason(undefined), "length");
  assert.equal(reason("x".repeat(ENROLMENT_TOKEN_MAX_LENGTH + 1)), "length");
  assert.equal(reason(""), "prefix");
  assert.equal(reason("hunter2"), "prefix");
  assert.equal(reason("spt2_AAAA"), "form");
  assert.equal(reason("spt1_\u{1F600}"), "damaged");
});

test("enrolment token: a right checksum over wrong content is refused", () => {
  for (
    const [member, value] of [
      ["brokerAddress", "broker.example.com"],
      ["brokerAddress", "broker.example.com:0"],
      ["brokerAddress", "user@broker.example.com:1"],
      ["tunnelName", "a/b"],
      ["enrolName", ""],
      ["caFingerprint", "AB"],
      ["secret", "short"],
    ] as const
  ) {
    assert.throws(() => encodeEnrolmentToken({ ...CONTENT, [member]: value }), {
      code: "token_malformed",
      details: { reason: member },
    });
  }
});

test("enrolment token: hostile text gives token_malformed and nothing else", () => {
  assertHolds(fc.property(fc.oneof(fc.anything(), fc.string().map((text) => `spt1_${text}`)), (value) => {
    assert.notEqual(reason(value), "accepted");
  }));
});
