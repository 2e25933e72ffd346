import { existsSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** What a program of ours can run on from its sources. */
export type Runtime = "node" | "deno";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** The runtime that runs this very process. */
export const currentRuntime: Runtime = "deno" in process.versions ? "deno" : "node";

/** The command line that runs a source file of `src/`, or the bundle made of it, on `runtime`, watching for its parent's end. */
export function sourceCommand(
  runtime: Runtime,
  script: string,
  bundle?: string,
): { command: string; args: string[] } {
  const watch = here("./parent_watch.ts");
  const command = runtime === currentRuntime ? process.execPath : installed(runtime);
  if (bundle !== undefined) return { command, args: [bundle] };
  return runtime === "node"
    ? { command, args: ["--import", watch, here(`../${script}`)] }
    : { command, args: ["run", "-A", "--no-check", "--preload", watch, here(`../${script}`)] };
}

/** The runtime that came with the development dependencies, else whatever PATH has. */
function installed(runtime: Runtime): string {
  const path = here(`../../node_modules/.bin/${runtime}`);
  return existsSync(path) ? path : runtime;
}
