import { runCli } from "./cli/program.ts";

// A reader that goes away, such as `| head`, is no failure; whatever else is wrong with an output cannot be said there.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

process.exitCode = await runCli(process.argv.slice(2), {
  env: process.env,
  write: (text) => void process.stdout.write(text),
  warn: (text) => void process.stderr.write(text),
});
