import assert from "node:assert/strict";
import { test } from "node:test";
import type { ByteWriter } from "../../../src/platform/byte_writer.ts";
import { SallyportError } from "../../../src/platform/error.ts";
import { LineSink } from "../../../src/platform/line_sink.ts";
import type { SessionRecord } from "../../../src/platform/log.ts";
import { createLogging, type LoggingOptions } from "../../../src/platform/logging.ts";
import { Secret } from "../../../src/platform/secret.ts";

const RECORD: SessionRecord = {
  requestId: "r1",
  app: "wiki",
  connector: "c1",
  method: "GET",
  host: "wiki.example.com",
  path: "/x",
  status: 200,
  bytesIn: 0,
  bytesOut: 60,
  headMs: 1,
  totalMs: 2,
  clientIp: "192.0.2.1",
};

function logging(options: Partial<LoggingOptions> = {}) {
  let text = "";
  const writer: ByteWriter = {
    write(bytes, done) {
      text += new TextDecoder().decode(bytes);
      done(null);
    },
    close() {},
  };
  const made = createLogging({
    level: "info",
    format: "json",
    sessionLog: false,
    sink: new LineSink(writer),
    ...options,
  });
  const lines = async () => {
    await made.flush();
    return text.split("\n").filter((line) => line !== "");
  };
  const records = async () => (await lines()).map((line) => JSON.parse(line) as Record<string, unknown>);
  return { ...made, lines, records, made };
}

test("log: one JSON line a message, with its facts and those bound before", async () => {
  const { log, records } = logging({ fields: { node: "n1" } });
  log.with({ connector: "c1" }).info("Connector connected", { attempt: 2 });
  const [line] = await records();
  assert.ok(!Number.isNaN(Date.parse(String(line?.time))));
  delete line?.time;
  assert.deepEqual(line, {
    level: "info",
    kind: "admin",
    message: "Connector connected",
    node: "n1",
    connector: "c1",
    attempt: 2,
  });
});

test("log: the level is switchable while running, for bound logs too", async () => {
  const { log, made, records } = logging();
  const bound = log.with({ a: 1 });
  bound.debug("no");
  made.setLevel("debug");
  bound.debug("yes");
  made.setLevel("error");
  bound.warn("no");
  assert.equal(made.level, "error");
  assert.deepEqual((await records()).map(({ message }) => message), ["yes"]);
});

test("log: errors keep name, code, message and cause", async () => {
  const { log, records } = logging();
  const cause = Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
  log.error("Cannot connect", { error: new TypeError("outer", { cause }) });
  const error = (await records())[0]?.error as Record<string, unknown>;
  assert.equal(error.name, "TypeError");
  assert.equal((error.cause as Record<string, unknown>).code, "ECONNREFUSED");
});

test("log: a stack is written of an error that nobody foresaw, not of one of ours or what caused it", async () => {
  const { log, records } = logging();
  const cause = new Error("disk full");
  log.error("ours", { error: new SallyportError("store_unavailable", "Cannot write", { cause }) });
  log.error("theirs", { error: new TypeError("oops", { cause }) });
  const [ours, theirs] = (await records()).map(({ error }) => error as Record<string, unknown>);
  assert.deepEqual(ours, {
    name: "SallyportError",
    code: "store_unavailable",
    message: "Cannot write",
    cause: { name: "Error", message: "disk full" },
  });
  assert.match(String(theirs!.stack), /TypeError: oops/);
  assert.match(String((theirs!.cause as Record<string, unknown>).stack), /disk full/);
});

test("log: nothing that is logged makes it throw or costs the message", async () => {
  const { log, records } = logging();
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  log.info("circle", { circle });
  log.info("big", { big: 5n, map: new Map([["a", 1]]), f: () => 1 });
  log.info("getter", {
    get boom(): never {
      throw new Error("x");
    },
  });
  log.info("deep getter", {
    a: {
      get boom(): never {
        throw new Error("x");
      },
    },
  });
  log.info("collision", { time: 1, level: "x", message: "y", kind: "z" });
  const lines = await records();
  assert.deepEqual(lines.map(({ message }) => message), [
    "circle",
    "big",
    "getter",
    "deep getter",
    "collision",
  ]);
  assert.equal(lines[4]?.message_, "y");
});

for (const format of ["json", "pretty"] as const) {
  test(`log: secrets are masked, as ${format}`, async () => {
    const { log, lines } = logging({ format });
    const pem = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----";
    log.info("masked", {
      secret: new Secret("hunter2"),
      wrapped: { other: new Secret("hunter2"), Authorization: "Basic hunter2", Cookie: ["hunter2"] },
      list: [{ password: "hunter2" }],
      text: "header was Bearer hunter2",
      token: "spt1_hunter2hunter2",
      given: "register spt1_hunter2hunter2 failed, and spa_hunter2hunter2",
      error: new Error(`cannot read ${pem}`),
      pem,
      both: `Bearer ${pem}`,
      cut: `cannot read ${pem.slice(0, -30)}`,
    });
    log.warn("Bearer hunter2");
    const text = (await lines()).join("\n");
    assert.match(text, /masked/);
    assert.doesNotMatch(text, /hunter2/);
  });
}

test("log: for people, one line a message, and control characters do not reach the terminal", async () => {
  const { log, session, lines } = logging({ format: "pretty", sessionLog: true });
  log.info("Broker started", { publicUrl: "https://x", nested: { a: [1, 2] } });
  log.info("evil \x1b[2J\nline", { name: "\x1b[2J" });
  session.write({ ...RECORD, path: "/\x1b[2J\x9b" });
  const all = await lines();
  assert.equal(all.length, 3);
  assert.match(all[0] ?? "", /INFO.*Broker started.*https:\/\/x/);
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(all.join(""), /[\x00-\x1f\x7f-\x9f]/);
});

test("session log: off by default, switchable while running", async () => {
  const { session, made, records } = logging();
  assert.equal(session.enabled, false);
  session.write(RECORD);
  made.setSessionLog(true);
  assert.equal(session.enabled, true);
  session.write(RECORD);
  made.setSessionLog(false);
  session.write(RECORD);
  const all = await records();
  assert.equal(all.length, 1);
  assert.equal(all[0]?.kind, "session");
  assert.equal(all[0]?.requestId, "r1");
});
