import assert from "node:assert/strict";
import { test } from "node:test";
import { nearest } from "../../../src/platform/nearest.ts";

test("nearest: finds slips, whatever the case, and nothing where nothing is near", () => {
  const names = ["drainMs", "dataDir", "logLevel"];
  assert.equal(nearest("drianMs", names), "drainMs");
  assert.equal(nearest("DATADIR", names), "dataDir");
  assert.equal(nearest("loglevl", names), "logLevel");
  assert.equal(nearest("certificates", names), null);
  assert.equal(nearest("x", []), null);
});
