import assert from "node:assert/strict";
import { test } from "node:test";
import { inheritedSockets } from "../../../src/platform/inherited_sockets.ts";

test("sockets of a service manager are known by their names, from descriptor 3 on", () => {
  const env = { LISTEN_FDS: "3", LISTEN_PID: "42", LISTEN_FDNAMES: "public::plain" };
  assert.deepEqual([...inheritedSockets(env, 42)], [["public", 3], ["plain", 5]]);
});

test("what was meant for another process, or says nothing, is left alone", () => {
  for (
    const env of [
      {},
      { LISTEN_FDS: "1", LISTEN_PID: "41", LISTEN_FDNAMES: "public" },
      { LISTEN_FDS: "0", LISTEN_PID: "42", LISTEN_FDNAMES: "public" },
      { LISTEN_FDS: "many", LISTEN_PID: "42", LISTEN_FDNAMES: "public" },
      { LISTEN_FDS: "1", LISTEN_PID: "42" },
    ]
  ) assert.equal(inheritedSockets(env, 42).size, 0, JSON.stringify(env));
});
