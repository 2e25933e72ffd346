import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultStateDir } from "../../../src/connector/config.ts";

test("state folder: a system folder for root, the XDG state home for others", () => {
  assert.equal(defaultStateDir({}, "linux", true, "/root"), "/var/lib/sallyport-connector");
  assert.equal(defaultStateDir({}, "linux", false, "/home/a"), "/home/a/.local/state/sallyport-connector");
  assert.equal(
    defaultStateDir({ XDG_STATE_HOME: "/s" }, "linux", false, "/home/a"),
    "/s/sallyport-connector",
  );
});

test("state folder: a relative XDG_STATE_HOME is ignored", () => {
  const env = { XDG_STATE_HOME: "relative" };
  assert.equal(defaultStateDir(env, "linux", false, "/home/a"), "/home/a/.local/state/sallyport-connector");
});
