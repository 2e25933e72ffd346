#!/usr/bin/env node
import { runProgram } from "./cli/program.ts";

// Each lookup of a name holds a thread until its name server answers, and Node gives lookups half of its threads, of which it
// has four. Read when the first is needed.
process.env.UV_THREADPOOL_SIZE ??= "32";

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    // The second one does not wait for anything.
    if (stop.signal.aborted) process.exit(1);
    stop.abort();
  });
}

// Whoever reads our output may stop reading (`| head`): that ends the output, not the program.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

const { env, stdin, stdout, stderr } = process;
process.exitCode = await runProgram(process.argv.slice(2), {
  env,
  stdin,
  stdout,
  stderr,
  signal: stop.signal,
});
