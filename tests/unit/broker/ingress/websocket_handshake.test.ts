import assert from "node:assert/strict";
import { test } from "node:test";
import {
  isAgreedSwitch,
  valuesOf,
  websocketAccept,
  websocketKey,
} from "../../../../src/broker/ingress/websocket_handshake.ts";

/** The example of RFC 6455 section 1.3. */
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

test("websocketAccept: is that of the RFC's example; keys are 16 fresh bytes", () => {
  assert.equal(websocketAccept(KEY), ACCEPT);
  const key = websocketKey();
  assert.equal(Buffer.from(key, "base64").length, 16);
  assert.notEqual(websocketKey(), key);
});

test("isAgreedSwitch: a 101 must name what was asked for, and prove that it has read the key", () => {
  const cases: [string, string | undefined, string[], boolean][] = [
    ["websocket", KEY, ["Upgrade", "websocket", "Sec-WebSocket-Accept", ACCEPT], true],
    ["WebSocket", KEY, ["UPGRADE", "Websocket", "sec-websocket-accept", ` ${ACCEPT} `], true],
    ["websocket", KEY, ["Upgrade", "websocket"], false],
    ["websocket", KEY, ["Sec-WebSocket-Accept", ACCEPT], false],
    ["websocket", KEY, ["Upgrade", "", "Sec-WebSocket-Accept", ACCEPT], false],
    ["websocket", KEY, ["Upgrade", "websocket", "Sec-WebSocket-Accept", ACCEPT.toLowerCase()], false],
    ["websocket", undefined, ["Upgrade", "websocket", "Sec-WebSocket-Accept", ACCEPT], false],
    [
      "websocket",
      KEY,
      ["Upgrade", "websocket", "Sec-WebSocket-Accept", ACCEPT, "Sec-WebSocket-Accept", ACCEPT],
      false,
    ],
    ["websocket", KEY, ["Upgrade", "other"], false],
    ["websocket", KEY, ["Upgrade", "websocket, other", "Sec-WebSocket-Accept", ACCEPT], false],
    ["echo/1", undefined, ["Upgrade", "echo/1"], true],
    ["echo/1, websocket", undefined, ["Upgrade", "Echo/2"], true],
    ["echo/1, websocket", undefined, ["Upgrade", "websocket"], false],
    ["one, two", undefined, ["Upgrade", "two", "Upgrade", "one"], true],
    ["", undefined, ["Upgrade", "echo"], false],
  ];
  for (const [asked, key, answer, agreed] of cases) {
    assert.equal(isAgreedSwitch(asked, key, answer), agreed, `${asked}: ${answer}`);
  }
});

test("valuesOf: every value of a header in any spelling, in order", () => {
  assert.deepEqual(valuesOf(["A", "1", "b", "2", "a", "3"], "a"), ["1", "3"]);
});
