/**
 * Runs the tests: `node tests/run.ts [--deno] [FILE...]`, all files of `tests/unit` and `tests/system` unless
 * some are named. With `--deno` they run on Deno, and connectors that system tests start do too; brokers stay on Node
 * (a Deno process that serves HTTP/2 can abort). With `SALLYPORT_TEST_NO_SKIPS` a skipped test is a failure.
 */
import { spawn } from "node:child_process";
import { globSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { DENO_LEFT_OUT } from "./deno_left_out.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
/** Where Node keeps what it has compiled: programs of ours start in half the time, and tests start hundreds. */
const COMPILE_CACHE = `${ROOT}node_modules/.cache/sallyport/compiled`;
/** Connectors answer on sockets below temporary folders, and the name of one has 107 bytes at most. */
const TEMPORARY = process.platform !== "win32" && tmpdir().length > 48 ? { TMPDIR: "/tmp" } : {};
const TEST_TIMEOUT_MS = 120_000;
/** Four times what a quiet machine of two cores takes: what hangs by itself is ended long before. */
const RUN_TIMEOUT_MS = 30 * 60_000;
/** Deno has no time-out for a test: it only says, each time twice as long has passed, that one is still running. */
const HUNG = /'(.*)' has been running for over \([24]m/;
/** Node writes `skipped 3`, Deno `3 ignored`; escape codes are removed before. */
const SKIPPED = /^ℹ skipped (\d+)$|\| (\d+) ignored/gm;
// deno-lint-ignore no-control-regex
const ESCAPES = /\x1b\[[0-9;]*m/g;

interface Plan {
  command: string;
  args: string[];
  env: Record<string, string>;
}

function nodePlan(files: string[]): Plan {
  const concurrency = Math.max(2, availableParallelism() - 1);
  const options = [`--test-timeout=${TEST_TIMEOUT_MS}`, `--test-concurrency=${concurrency}`];
  for (const reporter of [`${ROOT}tests/slowest_files.ts`, "spec"]) {
    options.push(`--test-reporter=${reporter}`, "--test-reporter-destination=stdout");
  }
  return { command: process.execPath, args: ["--test", ...options, ...files], env: {} };
}

function denoPlan(files: string[]): Plan {
  return {
    command: `${ROOT}node_modules/.bin/deno`,
    args: ["test", "-A", "--no-check", "--parallel", ...files],
    env: {
      SALLYPORT_TEST_CONNECTOR_RUNTIME: "deno",
      DENO_NO_UPDATE_CHECK: "1",
      DENO_JOBS: String(Math.max(2, availableParallelism() - 1)),
    },
  };
}

/** Runs the plan in a process group of its own, its output passed through; what it left running ends with it. */
function run({ command, args, env }: Plan): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: ROOT,
      env: { NODE_COMPILE_CACHE: COMPILE_CACHE, ...process.env, ...TEMPORARY, ...env },
      stdio: ["ignore", "pipe", "inherit"],
      detached: true,
    });
    const endGroup = () => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, "SIGKILL");
      } catch {
        // Nothing of it is left.
      }
    };
    const timer = setTimeout(() => {
      console.error(`Cannot finish the tests: still running after ${RUN_TIMEOUT_MS / 60_000} minutes`);
      endGroup();
    }, RUN_TIMEOUT_MS);
    const stop = () => endGroup();
    process.on("SIGINT", stop).on("SIGTERM", stop);
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      process.stdout.write(text);
      // Only the closing lines are read.
      output = (output + text).slice(-65_536);
      const hung = HUNG.exec(text.replace(ESCAPES, ""));
      if (hung === null) return;
      console.error(`Cannot finish the tests: '${hung[1]}' hangs`);
      endGroup();
    });
    child.on("error", (error) => console.error(`Cannot start "${command}": ${error.message}`));
    // What it left running may hold its output open: that ends first.
    child.on("exit", endGroup);
    child.on("close", (code) => {
      clearTimeout(timer);
      process.off("SIGINT", stop).off("SIGTERM", stop);
      resolve({ code: code ?? 1, output: output.replace(ESCAPES, "") });
    });
  });
}

async function main(args: readonly string[]): Promise<number> {
  const onDeno = args.includes("--deno");
  const noSkips = process.env.SALLYPORT_TEST_NO_SKIPS !== undefined;
  const named = args.filter((arg) => !arg.startsWith("--"));
  const all = globSync(["tests/unit/**/*.test.ts", "tests/system/**/*.test.ts"], { cwd: ROOT }).sort();
  const leftOut = onDeno ? DENO_LEFT_OUT : [];
  const leftOutFiles = leftOut.filter(({ test }) => test === undefined).map(({ file }) => file);
  const leftOutTests = leftOut.filter(({ test }) => test !== undefined);
  const unknown = leftOut.filter(({ file }) => !all.includes(file));
  if (unknown.length > 0) {
    console.error(`Cannot leave out "${unknown[0]?.file}": no such test`);
    return 2;
  }
  const files = named.length > 0 ? named : all.filter((file) => !leftOutFiles.includes(file));
  const { code, output } = await run(onDeno ? denoPlan(files) : nodePlan(files));
  if (onDeno && named.length === 0) {
    console.log(
      `left out on Deno: ${leftOutFiles.length} of ${all.length} files, ${leftOutTests.length} single tests`,
    );
    for (const { file, test, reason } of leftOut) {
      console.log(`  ${file}${test ? ` "${test}"` : ""}: ${reason}`);
    }
  }
  const skipped = [...output.matchAll(SKIPPED)].reduce((sum, match) => sum + Number(match[1] ?? match[2]), 0);
  const expected = leftOutTests.length;
  if (code === 0 && noSkips && named.length === 0 && skipped !== expected) {
    console.error(`Cannot accept the run: ${skipped} tests were skipped, not ${expected}`);
    return 1;
  }
  return code;
}

process.exitCode = await main(process.argv.slice(2));
