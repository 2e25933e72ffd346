import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatHostPort, parseHostPort } from "../../../src/protocol/address.ts";
import {
  parseEnrolmentHello,
  parseEnrolmentProblem,
  parseEnrolmentRequest,
  parseEnrolmentResponse,
} from "../../../src/protocol/enrolment.ts";
import { EnrolmentFormatError } from "../../../src/protocol/enrolment_errors.ts";
import { assertHolds } from "../../support/property.ts";

const REQUEST = {
  secret: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
  csr: "-----BEGIN CERTIFICATE REQUEST-----\n",
  machineName: "höst 1",
  os: "linux x64",
  version: "0.1.0",
};
const RESPONSE = {
  connectorId: "c0ffee",
  certificate: "-----BEGIN CERTIFICATE-----",
  ca: "-----BEGIN CERTIFICATE-----",
  tunnelName: "tunnel.test",
  brokerAddress: "[::1]:443",
};

test("enrolment messages: what is right is read, what is not known is left out", () => {
  assert.deepEqual(parseEnrolmentRequest({ ...REQUEST, later: 1 }), REQUEST);
  assert.deepEqual(parseEnrolmentResponse({ ...RESPONSE, later: {} }), RESPONSE);
  assert.deepEqual(parseEnrolmentHello({ time: 5 }), { time: 5 });
  assert.deepEqual(parseEnrolmentProblem({ code: "token_used", detail: "d" }), {
    code: "token_used",
    detail: "d",
  });
  assert.deepEqual(parseEnrolmentProblem({ code: "token_used", detail: "a\nb" }), {
    code: "token_used",
    detail: "",
  });
});

test("enrolment messages: each member is checked", () => {
  for (
    const [member, value] of [
      ["secret", "short"],
      ["csr", "x"],
      ["csr", `${REQUEST.csr}${"x".repeat(20_000)}`],
      ["machineName", ""],
      ["machineName", "a\u0000b"],
      ["machineName", "x".repeat(256)],
      ["os", 5],
      ["version", undefined],
    ] as const
  ) {
    assert.throws(() => parseEnrolmentRequest({ ...REQUEST, [member]: value }), {
      code: "enrolment_message_invalid",
      details: { what: "request", member },
    });
  }
  for (
    const [member, value] of [["connectorId", "../x"], ["brokerAddress", "x"], ["tunnelName", "a b"], [
      "ca",
      "",
    ]] as const
  ) {
    assert.throws(() => parseEnrolmentResponse({ ...RESPONSE, [member]: value }), {
      details: { what: "response", member },
    });
  }
  assert.throws(() => parseEnrolmentHello({ time: "5" }), { code: "enrolment_message_invalid" });
});

test("enrolment messages: hostile values give enrolment_message_invalid and nothing else", () => {
  assertHolds(fc.property(fc.anything(), (value) => {
    assert.throws(() => parseEnrolmentRequest(value), EnrolmentFormatError);
    assert.throws(() => parseEnrolmentResponse(value), EnrolmentFormatError);
    parseEnrolmentProblem(value);
  }));
});

test("address: host and port are read and written", () => {
  assert.deepEqual(parseHostPort("Broker.Example:443"), { host: "broker.example", port: 443 });
  for (const text of ["a.example:1", "192.0.2.1:65535", "[2001:db8::1]:8443"]) {
    assert.equal(formatHostPort(parseHostPort(text)!), text);
  }
  for (
    const text of [
      "",
      "a",
      "a:",
      "a:0",
      "a:65536",
      ":1",
      "a b:1",
      "::1:1",
      "[a]:1",
      "[::1]",
      "-a:1",
      "a..b:1",
      "a:1\n",
      5,
    ]
  ) {
    assert.equal(parseHostPort(text), null, String(text));
  }
});
