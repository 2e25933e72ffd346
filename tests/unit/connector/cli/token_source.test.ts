import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { readToken } from "../../../../src/connector/cli/token_source.ts";

const signal = new AbortController().signal;

test("readToken: standard input is read to its end", async () => {
  const stdin = new PassThrough();
  const reading = readToken({ file: "-", variable: undefined, stdin, signal });
  stdin.write("spt1_");
  stdin.end("x\n");
  assert.equal((await reading).reveal(), "spt1_x\n");
});

test("readToken: who is stopped does not wait for the end of standard input", async () => {
  const stop = new AbortController();
  const stdin = new PassThrough();
  const reading = readToken({ file: "-", variable: undefined, stdin, signal: stop.signal });
  stdin.write("spt1_");
  stop.abort();
  await assert.rejects(reading, { code: "registration_aborted" });
  assert.ok(stdin.destroyed);
});

test("readToken: what cannot be read, or is too long, is named", async () => {
  const stdin = new PassThrough();
  const missing = readToken({ file: "/none/token", variable: undefined, stdin, signal });
  await assert.rejects(missing, { code: "token_unreadable" });
  stdin.end("x".repeat(20_000));
  const long = readToken({ file: "-", variable: undefined, stdin, signal });
  await assert.rejects(long, { code: "token_unreadable" });
});
