import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { runCommand } from "./command.ts";

const BUILD_MS = 120_000;

/** What goes into one executable. */
export interface ExecutableParts {
  /** The bundled program, an ES module. */
  main: string;
  /** The Node that it goes into; code caches only fit the machine that makes them. */
  node: string;
  isHost: boolean;
  output: string;
  /** Folder for what is needed on the way. */
  folder: string;
}

/** Puts a bundled program into a Node binary. */
export async function buildExecutable(
  { main, node, isHost, output, folder }: ExecutableParts,
): Promise<void> {
  const configuration = join(folder, "sea.json");
  writeFileSync(
    configuration,
    JSON.stringify({
      main,
      mainFormat: "module",
      executable: node,
      output,
      disableExperimentalSEAWarning: true,
      useSnapshot: false,
      useCodeCache: isHost,
      // Left out, NODE_OPTIONS=--require=x would run foreign code inside of the program.
      execArgvExtension: "none",
    }),
  );
  await runCommand(process.execPath, ["--build-sea", configuration], { timeoutMs: BUILD_MS });
}
