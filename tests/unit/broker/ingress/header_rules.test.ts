import assert from "node:assert/strict";
import { test } from "node:test";
import {
  HeaderRules,
  requestRules,
  responseRules,
  withoutNominated,
} from "../../../../src/broker/ingress/header_rules.ts";

test("HeaderRules: any spelling has the rule of its name; names of Object's own are ordinary", () => {
  for (const name of ["transfer-encoding", "Transfer-Encoding", "TRANSFER-ENCODING", "tRANSFER-eNCODING"]) {
    assert.equal(requestRules.of(name), "coding");
    assert.equal(responseRules.of(name), "coding");
  }
  for (const name of ["__proto__", "constructor", "toString", "X-Any"]) {
    assert.equal(requestRules.of(name), "keep");
  }
});

test("HeaderRules: names that CGI takes for those with a rule are dropped", () => {
  for (
    const name of ["X_Forwarded_For", "x-forwarded_for", "X.Real~IP", "Transfer_Encoding", "content_length"]
  ) {
    assert.equal(requestRules.of(name), "drop", name);
  }
  for (const name of ["X_A", "x.y", "XForwardedFor"]) assert.equal(requestRules.of(name), "keep", name);
});

test("HeaderRules: many spellings neither fill memory nor change an answer", () => {
  const rules = new HeaderRules({ "x-hop": "drop" });
  for (let i = 0; i < 20_000; i++) assert.equal(rules.of(`X-${i}`), "keep");
  assert.equal(rules.of("X-HOP"), "drop");
});

test("withoutNominated: takes out what is named, but not what a peer may not take away", () => {
  const headers = ["A", "1", "b", "2", "Host", "h", "a", "3"];
  assert.deepEqual(withoutNominated(headers, "A, host,,"), ["b", "2", "Host", "h"]);
  assert.equal(withoutNominated(headers, "close, keep-alive"), headers);
});
