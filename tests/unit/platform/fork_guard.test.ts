import assert from "node:assert/strict";
import { test } from "node:test";
import { isForkOfItself } from "../../../src/platform/fork_guard.ts";

test("fork guard: a program run from its sources is no fork of a single executable, and its children can tell", (t) => {
  const name = "SALLYPORT_INTERNAL_PARENT_PID";
  const before = process.env[name];
  t.after(() => before === undefined ? delete process.env[name] : process.env[name] = before);
  process.env[name] = String(process.ppid);
  assert.equal(isForkOfItself(), false);
  assert.equal(process.env[name], String(process.pid));
});
