import assert from "node:assert/strict";
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("../support/programs/chatty.ts", import.meta.url));
const MEGABYTE = 1024 * 1024;

interface Answer {
  lost: number;
  rss: number;
}

/** The program, with standard error on a pipe that is read only by who takes `child.stderr`, or on a file. */
function start(t: TestContext, errorTo: "pipe" | number) {
  const args = process.versions.deno === undefined ? [PROGRAM] : ["run", "-A", "--no-check", PROGRAM];
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", errorTo] }) as ChildProcessByStdio<
    Writable,
    Readable,
    Readable | null
  >;
  t.after(() => child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout });
  return {
    child,
    async ask(command: string): Promise<Answer> {
      child.stdin.write(`${command}\n`);
      const [line] = await once(lines, "line");
      return JSON.parse(line) as Answer;
    },
    /** Ends the program and gives its exit code. */
    async end(): Promise<number | null> {
      // Not `exit`: what it wrote last is read after that.
      const closed = once(child, "close");
      child.stdin.end();
      const [code] = await closed;
      return code as number | null;
    },
  };
}

const parsed = (text: string) =>
  text.trimEnd().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);

test("log: a reader that never reads stalls nothing, memory stays bounded, the process ends in time", async (t) => {
  const program = start(t, "pipe");
  const before = await program.ask("log 1000");
  let last = before;
  // 40 times 10,000 lines are some 50 MB: far beyond pipe and queue.
  for (let i = 0; i < 40; i++) last = await program.ask("log 10000");
  assert.ok(last.lost > 300_000, `lost ${last.lost}`);
  assert.ok(last.rss - before.rss < 120 * MEGABYTE, `grew by ${(last.rss - before.rss) / MEGABYTE} MB`);
  const began = performance.now();
  assert.equal(await program.end(), 0);
  assert.ok(performance.now() - began < 10_000);
});

test("log: a reader that comes back gets the lines kept, and is told how many it missed", async (t) => {
  const program = start(t, "pipe");
  const { lost } = await program.ask("log 100000");
  assert.ok(lost > 0);
  assert.ok(program.child.stderr);
  let text = "";
  const told = new Promise<void>((resolve) => {
    program.child.stderr?.setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
      if (text.includes("Log lines lost")) resolve();
    });
  });
  await told;
  await program.ask("log 1");
  assert.equal(await program.end(), 0);
  const lines = parsed(text);
  const notice = lines.find(({ message }) => message === "Log lines lost");
  assert.equal(notice?.lost, lost);
  assert.equal(lines.length, 100_000 - lost + 1 + 1);
});

test("log: a reader that is gone stops nothing", async (t) => {
  const program = start(t, "pipe");
  program.child.stderr?.destroy();
  await program.ask("log 1000");
  await program.ask("log 1000");
  assert.equal(await program.end(), 0);
});

test("log: to a file, every line arrives, in order, before the process ends", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sallyport-log-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "log");
  const file = openSync(path, "a");
  const program = start(t, file);
  closeSync(file);
  assert.equal((await program.ask("log 20000")).lost, 0);
  assert.equal(await program.end(), 0);
  assert.deepEqual(
    parsed(readFileSync(path, "utf8")).map(({ i }) => i),
    Array.from({ length: 20_000 }, (_, i) => i),
  );
});

test("log: to a file that other programs write to in turn, nobody overwrites anybody", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sallyport-log-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "log");
  // Not for appending: what a shell's `{ first; second; } 2>log` opens, one offset shared by all.
  const file = openSync(path, "w");
  t.after(() => closeSync(file));
  writeSync(file, '{"message":"before"}\n');
  const program = start(t, file);
  await program.ask("log 3");
  assert.equal(await program.end(), 0);
  writeSync(file, '{"message":"after"}\n');
  assert.deepEqual(
    parsed(readFileSync(path, "utf8")).map(({ i, message }) => i ?? message),
    ["before", 0, 1, 2, "after"],
  );
});
