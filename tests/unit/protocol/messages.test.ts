import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ProtocolError } from "../../../src/protocol/errors.ts";
import { FRAME_HEADER_BYTES, MAX_MESSAGE_BYTES } from "../../../src/protocol/limits.ts";
import {
  agreeOnRevision,
  encodeMessage,
  OLDEST_PROTOCOL_REVISION,
  parseConfigPart,
  parseHello,
  parseMessage,
  parseVersionAnswer,
  parseWelcome,
  PROTOCOL_REVISION,
} from "../../../src/protocol/messages.ts";
import { packFrame } from "../../../src/protocol/message_pack.ts";
import { value } from "./arbitraries.ts";
import { assertHolds } from "../../support/property.ts";

const payload = (frame: Buffer) => frame.subarray(FRAME_HEADER_BYTES);
const code = (code: string) => (error: unknown) => error instanceof ProtocolError && error.code === code;

const HELLO = {
  revision: 1,
  oldestRevision: 1,
  capabilities: ["a"],
  softwareVersion: "0.1.0",
  machineName: "host",
  os: "linux",
  instanceId: "i",
};
const WELCOME = {
  revision: 1,
  capabilities: [],
  nodeId: "n",
  nodes: ["a:1"],
  softwareVersion: "0.1.0",
  connectorId: "c",
};
const APP = {
  id: "app_1",
  revision: 3,
  origin: "http://10.0.0.5:8080",
  timeouts: { connectMs: 1, responseHeadMs: 2, idleMs: 3, totalMs: 4, upgradedIdleMs: 5 },
  tls: { validate: true, ca: "PEM", serverName: "x", minVersion: "TLSv1.3", clientCertificate: "wiki" },
  backendProtocol: "h2c",
  healthCheck: {
    type: "tcp",
    path: "/",
    intervalMs: 1,
    timeoutMs: 2,
    healthyAfter: 3,
    unhealthyAfter: 4,
  },
};
const PART = { groupId: "g", revision: 4, full: true, apps: [APP], removedIds: ["app_0"] };
const VERSION = { latest: "1.0.0", desired: "" };

const CASES = [
  [parseHello, HELLO],
  [parseWelcome, WELCOME],
  [parseConfigPart, PART],
  [parseVersionAnswer, VERSION],
] as const;

test("messages: what is encoded is read back, unknown fields are left out", () => {
  for (const [parse, fields] of CASES) {
    const { type: _type, ...read } = parseMessage(
      payload(encodeMessage({ ...fields, type: "x", later: [1] })),
    );
    assert.deepEqual(parse(read), fields);
  }
});

test("messages: any fields under any type (property)", () => {
  const fields = fc.dictionary(fc.constantFrom("a", "b", "more", "code"), value, { noNullPrototype: true });
  assertHolds(
    fc.property(fc.option(fc.maxSafeNat(), { nil: undefined }), fc.string(), fields, (id, type, fields) => {
      const message = id === undefined ? { ...fields, type } : { ...fields, id, type };
      assert.deepEqual(parseMessage(payload(encodeMessage(message))), message);
    }),
  );
});

test("messages: every field is needed and has its type (property)", () => {
  for (const [parse, fields] of CASES) {
    for (const name of Object.keys(fields)) {
      const { [name]: _left, ...rest } = fields as Record<string, unknown>;
      assert.throws(() => parse(rest), code("protocol_error"), name);
    }
    assertHolds(fc.property(fc.constantFrom(...Object.keys(fields)), value, (name, value) => {
      try {
        parse({ ...fields, [name]: value });
      } catch (error) {
        assert.ok(error instanceof ProtocolError, String(error));
      }
    }));
  }
  assertHolds(fc.property(fc.constantFrom(...Object.keys(APP)), value, (name, value) => {
    try {
      parseConfigPart({ ...PART, apps: [{ ...APP, [name]: value }] });
    } catch (error) {
      assert.ok(error instanceof ProtocolError, String(error));
    }
  }));
});

test("messages: an app may leave out what is not set", () => {
  const app = { ...APP, tls: { validate: false, minVersion: "TLSv1.2" }, healthCheck: null };
  assert.deepEqual(parseConfigPart({ ...PART, apps: [app] }).apps, [app]);
});

test("messages: what an older broker does not say of an app has its default", () => {
  const said = {
    id: "a",
    revision: 1,
    origin: "http://a.test",
    timeouts: { connectMs: 1, responseHeadMs: 2, idleMs: 3 },
    tls: { validate: true },
  };
  assert.deepEqual(parseConfigPart({ ...PART, apps: [said] }).apps, [{
    ...said,
    timeouts: { ...said.timeouts, totalMs: 0, upgradedIdleMs: 3_600_000 },
    tls: { validate: true, minVersion: "TLSv1.2" },
    backendProtocol: "auto",
    healthCheck: null,
  }]);
});

test("messages: what is no message is refused", () => {
  for (
    const value of [
      null,
      1,
      "x",
      [],
      {},
      { type: 1 },
      { type: "x", id: -1 },
      { type: "x", id: "1" },
      Buffer.alloc(3),
    ]
  ) {
    assert.throws(() => parseMessage(payload(packFrame(8, 0, value))), code("protocol_error"));
  }
});

test("messages: one over the limit is not encoded", () => {
  const overhead = payload(encodeMessage({ type: "x", text: "a".repeat(70_000) })).length - 70_000;
  const fits = "a".repeat(MAX_MESSAGE_BYTES - overhead);
  assert.equal(payload(encodeMessage({ type: "x", text: fits })).length, MAX_MESSAGE_BYTES);
  assert.throws(() => encodeMessage({ type: "x", text: fits + "a" }), code("protocol_too_large"));
});

test("messages: both sides speak the newest revision in common, or none", () => {
  const newest = PROTOCOL_REVISION;
  const oldest = OLDEST_PROTOCOL_REVISION;
  assert.equal(agreeOnRevision({ revision: newest, oldestRevision: oldest }), newest);
  assert.equal(agreeOnRevision({ revision: newest + 5, oldestRevision: oldest }), newest);
  for (
    const [revision, oldestRevision] of [[newest + 2, newest + 1], [oldest - 1, oldest - 1], [
      newest,
      newest + 1,
    ]]
  ) {
    assert.throws(
      () => agreeOnRevision({ revision: revision!, oldestRevision: oldestRevision! }),
      code("protocol_unsupported"),
    );
  }
  for (const revision of [newest + 1, oldest - 1]) {
    assert.throws(() => parseWelcome({ ...WELCOME, revision }), code("protocol_unsupported"));
  }
});
