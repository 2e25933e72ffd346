import assert from "node:assert/strict";
import { test } from "node:test";
import { Attempts } from "../../../../src/broker/ingress/attempts.ts";
import { KeptBodies } from "../../../../src/broker/ingress/kept_bodies.ts";
import { RetryBudget } from "../../../../src/broker/ingress/retry_budget.ts";
import type { LanePort } from "../../../../src/broker/registry/port.ts";
import type { ExchangeHandler } from "../../../../src/tunnel/exchange_handler.ts";

const LOST = { code: "tunnel_lost", begun: true };
const NOT_BEGUN = { code: "backend_refused", begun: false };
const HANDLER = {} as ExchangeHandler;
const room = new KeptBodies();

/** A lane that writes down what is sent. */
function lane(): { port: LanePort; sent: string[]; frames: Buffer[] } {
  const sent: string[] = [];
  const frames: Buffer[] = [];
  const port = {
    begin: (frame: Buffer) => frames.push(frame),
    sendData: (bytes: Buffer) => sent.push(bytes.toString()),
    sendEnd: () => sent.push("end"),
  } as unknown as LanePort;
  return { port, sent, frames };
}

function attempts(method: string, follows: "nothing" | "body" | "upgrade" = "nothing"): Attempts {
  const made = new Attempts(Buffer.from("frame"), method, follows, room);
  made.send(lane().port, HANDLER);
  return made;
}

test("what the backend has certainly not seen may be sent again, whatever the method", () => {
  for (const method of ["GET", "POST", "PATCH", "DELETE"]) {
    assert.equal(attempts(method, "body").mayRepeat(NOT_BEGUN), true, method);
  }
});

test("after a lost tunnel only what may be done twice is sent again", () => {
  for (const method of ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]) {
    assert.equal(attempts(method).mayRepeat(LOST), true, method);
  }
  for (const method of ["POST", "PATCH", "LOCK"]) {
    assert.equal(attempts(method).mayRepeat(LOST), false, method);
  }
  assert.equal(attempts("GET", "upgrade").mayRepeat(LOST), false);
});

test("what the backend itself has ended is not repeated", () => {
  for (const code of ["backend_reset", "backend_timeout", "backend_bad_response"]) {
    assert.equal(attempts("GET").mayRepeat({ code, begun: true }), false, code);
  }
});

test("what could not be sent a second time by a connector goes to another one where twice does no harm", () => {
  for (
    const code of ["backend_refused", "backend_connect_failed", "backend_tls_failed", "connector_exhausted"]
  ) {
    assert.equal(attempts("GET").mayRepeat({ code, begun: true }), true, code);
    assert.equal(attempts("POST").mayRepeat({ code, begun: true }), false, code);
    assert.equal(attempts("POST").mayRepeat({ code, begun: false }), true, code);
  }
});

test("a small body is kept and sent again, its end too; a large one is not", () => {
  const small = attempts("PUT", "body");
  small.keep(Buffer.from("one"));
  small.keep(Buffer.from("two"));
  small.keepEnd([]);
  const { port, sent, frames } = lane();
  assert.equal(small.mayRepeat(LOST), true);
  small.send(port, HANDLER);
  assert.deepEqual(sent, ["one", "two", "end"]);
  assert.equal(frames[0]!.toString(), "frame");
  const large = attempts("PUT", "body");
  large.keep(Buffer.alloc(60_000));
  large.keep(Buffer.alloc(10_000));
  assert.equal(large.isWhole, false);
  assert.equal(large.mayRepeat(NOT_BEGUN), false);
});

test("bodies are kept as far as there is room for them, which they give back", () => {
  const little = new KeptBodies(1_000);
  const one = new Attempts(Buffer.from("frame"), "PUT", "body", little);
  const other = new Attempts(Buffer.from("frame"), "PUT", "body", little);
  one.keep(Buffer.alloc(500));
  other.keep(Buffer.alloc(500));
  assert.deepEqual([one.isWhole, other.isWhole], [true, false]);
  one.keep(Buffer.alloc(500));
  assert.equal(one.isWhole, false);
  one.letGo();
  assert.deepEqual([little.take(1_000), little.take(1)], [true, false]);
});

test("a frame that another lane may still hold is not numbered anew", () => {
  const frame = Buffer.from("frame");
  const made = new Attempts(frame, "GET", "nothing", new KeptBodies());
  const { port, frames } = lane();
  made.send(port, HANDLER);
  made.send(port, HANDLER);
  assert.equal(frames[0], frame);
  assert.notEqual(frames[1], frame);
});

test("there is an end to it", () => {
  const made = attempts("GET");
  for (let i = 0; i < 3; i++) {
    assert.equal(made.mayRepeat(LOST), true);
    made.failedOn(`c${i}`);
    made.failedOn(`c${i}`);
    made.send(lane().port, HANDLER);
  }
  assert.equal(made.mayRepeat(LOST), false);
  assert.deepEqual(made.tried, ["c0", "c1", "c2"]);
});

test("retries are a fifth of the requests, and a few before there were any; not all that were left are kept", () => {
  const budget = new RetryBudget();
  const spent = () => {
    let count = 0;
    while (budget.spend()) count += 1;
    return count;
  };
  assert.equal(spent(), 20);
  for (let i = 0; i < 1_000; i++) budget.earn();
  const earned = spent();
  assert.ok(earned >= 198 && earned <= 200, String(earned));
  for (let i = 0; i < 100_000; i++) budget.earn();
  assert.equal(spent(), 2_000);
});
