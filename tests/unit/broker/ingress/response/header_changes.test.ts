import assert from "node:assert/strict";
import { test } from "node:test";
import { applyChanges, changesOf } from "../../../../../src/broker/ingress/response/header_changes.ts";

test("header changes are made in their order, whatever the case of names", () => {
  const headers = ["A", "1", "b", "2", "a", "3"];
  applyChanges(headers, [
    { action: "set", name: "A", value: "x" },
    { action: "add", name: "B", value: "y" },
    { action: "remove", name: "c" },
  ]);
  assert.deepEqual(headers, ["b", "2", "A", "x", "B", "y"]);
  applyChanges(headers, [{ action: "remove", name: "B" }, { action: "add", name: "B", value: "z" }]);
  assert.deepEqual(headers, ["A", "x", "B", "z"]);
});

test("no changes are compiled to nothing at all", () => {
  assert.equal(changesOf([]), null);
});
