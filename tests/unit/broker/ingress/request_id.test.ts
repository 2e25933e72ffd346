import assert from "node:assert/strict";
import { test } from "node:test";
import { createRequestIds } from "../../../../src/broker/ingress/request_id.ts";

test("request ids are short, plain and never the same twice", () => {
  const sources = [createRequestIds(), createRequestIds()];
  const seen = new Set<string>();
  for (let i = 0; i < 50_000; i++) {
    for (const next of sources) seen.add(next());
  }
  assert.equal(seen.size, 100_000);
  for (const id of seen) assert.match(id, /^[0-9a-v]{10}-[0-9a-v]{1,12}$/);
});

test("random numbers are asked for once", () => {
  let calls = 0;
  const next = createRequestIds((size) => {
    calls++;
    return new Uint8Array(size);
  });
  assert.equal(next(), "0000000000-1");
  assert.equal(next(), "0000000000-2");
  assert.equal(calls, 1);
});
