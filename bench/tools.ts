import { spawnSync } from "node:child_process";
import { BenchError } from "./errors.ts";

/** Programs of Debian that the benchmark runs, the package of each, and how it is asked for its version. */
const TOOLS = [
  { command: "nginx", pack: "nginx-light", args: ["-v"] },
  { command: "wrk", pack: "wrk", args: ["-v"] },
  { command: "taskset", pack: "util-linux", args: ["-V"] },
  { command: "perl", pack: "perl", args: ["-v"] },
];

/** Versions of the tools by name; an error with the line that installs them when one is missing. */
export function toolVersions(): Record<string, string> {
  const found = TOOLS.map(({ command, args }) => {
    const { error, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
    return error === undefined ? /\d+(\.\d+)+/.exec(`${stdout}${stderr}`)?.[0] ?? "unknown" : null;
  });
  const missing = TOOLS.filter((_, at) => found[at] === null).map(({ pack }) => pack);
  if (missing.length > 0) {
    throw new BenchError(
      `Some programs are missing. Install them with: apt-get install ${missing.join(" ")}`,
      {
        usage: true,
      },
    );
  }
  return Object.fromEntries(TOOLS.map(({ command }, at) => [command, found[at]!]));
}
