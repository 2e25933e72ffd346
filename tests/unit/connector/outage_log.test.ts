import assert from "node:assert/strict";
import { test } from "node:test";
import { DialError } from "../../../src/connector/errors.ts";
import { OutageLog } from "../../../src/connector/outage_log.ts";
import { shutOutBy } from "../../../src/connector/shut_out.ts";
import type { Log, LogFields } from "../../../src/platform/log.ts";

type Line = readonly [level: string, text: string, fields: LogFields];

/** An outage log with its clock, and what an administrator reads: all but the level debug, which is counted. */
function outage() {
  const state = { time: 0, debug: 0 };
  const lines: Line[] = [];
  const write = (level: string) => (text: string, fields: LogFields = {}) =>
    void lines.push([level, text, fields]);
  const log: Log = {
    debug: () => void (state.debug += 1),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    with: () => log,
  };
  return { state, lines, log: new OutageLog(log, () => state.time) };
}

const failure = (code: "broker_unreachable" | "broker_lost" | "broker_untrusted") =>
  new DialError(code, "why");

test("a failure that goes on is told at once, then once a minute, with how often it was met and how long", () => {
  const { state, lines, log } = outage();
  log.lost(null);
  for (let i = 0; i < 481; i++) {
    state.time += 250;
    log.failed(failure("broker_unreachable"), null, 312);
  }
  const fields = { error: "why", code: "broker_unreachable", nextTryInS: 0.3 };
  assert.deepEqual(lines, [
    ["warn", "tunnel lost", { reason: "closed by the broker" }],
    ["warn", "no tunnel", fields],
    ["warn", "still no tunnel", { ...fields, attempts: 240, withoutTunnelS: 60.3 }],
    ["warn", "still no tunnel", { ...fields, attempts: 240, withoutTunnelS: 120.3 }],
  ]);
  assert.equal(state.debug, 481 - 3);
});

test("another failure is told at once, and two that take turns are no more lines a minute than two", () => {
  const { state, lines, log } = outage();
  for (let i = 0; i < 400; i++) {
    log.failed(failure(i % 2 === 0 ? "broker_unreachable" : "broker_lost"), null, 250);
    state.time += 250;
  }
  assert.deepEqual(lines.map(([, text, { code }]) => [text, code]), [
    ["no tunnel", "broker_unreachable"],
    ["no tunnel", "broker_lost"],
    ["still no tunnel", "broker_unreachable"],
    ["still no tunnel", "broker_lost"],
  ]);
});

test("a tunnel that comes up says how long there was none, and makes the same failure news again", () => {
  const { state, lines, log } = outage();
  log.ready({ connector: "c" });
  for (let i = 0; i < 2; i++) {
    log.lost(failure("broker_lost"));
    log.failed(failure("broker_unreachable"), null, 0);
    log.failed(failure("broker_unreachable"), null, 0);
    state.time += 5_000;
    log.ready({ connector: "c" });
  }
  const once = ["tunnel lost", "no tunnel", "tunnel ready"];
  assert.deepEqual(lines.map(([, text]) => text), ["tunnel ready", ...once, ...once]);
  assert.deepEqual(lines[0]![2], { connector: "c" });
  assert.deepEqual(lines.at(-1)![2], { connector: "c", withoutTunnelS: 5 });
});

test("reasons without end take neither memory nor log without end", () => {
  const { state, lines, log } = outage();
  for (let i = 0; i < 100; i++) {
    log.failed(new DialError("tunnel_refused", "", { details: { reason: `r${i}` } }), null, 0);
  }
  assert.equal(lines.length, 17, "16 by themselves, one for all others");
  assert.equal(state.debug, 83);
  state.time = 60_000;
  log.failed(new DialError("tunnel_refused", "", { details: { reason: "r99" } }), null, 0);
  assert.deepEqual(lines.at(-1)!.slice(0, 2), ["warn", "still no tunnel"]);
});

test("a broker that is not trusted is told of with what to do, once in five minutes", () => {
  const { state, lines, log } = outage();
  const untrusted = failure("broker_untrusted");
  for (state.time = 0; state.time <= 600_000; state.time += 20_000) {
    log.failed(untrusted, shutOutBy(untrusted), 20_000);
  }
  assert.deepEqual(lines.map(([level, text]) => [level, text]), [
    ["warn", "no tunnel"],
    ["error", "does not trust the broker"],
    ["warn", "still no tunnel"],
    ["error", "does not trust the broker"],
    ["warn", "still no tunnel"],
    ["error", "does not trust the broker"],
  ]);
});
