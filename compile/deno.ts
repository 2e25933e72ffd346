/**
 * Makes single executables with `deno compile`: `deno task compile`. That takes `denort`, Deno's runtime for them, which no
 * package brings: from `DENORT_BIN`, or downloaded by Deno itself. Exit code 0: made and tried; 3: `denort` cannot be had.
 */
import { accessSync, constants, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { tryCommand } from "./command.ts";
import { smokeTest } from "./smoke.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const OUTPUT = join(ROOT, "dist", "deno");
const COMPILE_MS = 300_000;
const NO_RUNTIME = 3;

async function main(): Promise<number> {
  const given = process.env.DENORT_BIN;
  if (given !== undefined) {
    try {
      accessSync(given, constants.R_OK);
    } catch {
      console.error(`Cannot compile with Deno: DENORT_BIN names "${given}", which cannot be read`);
      return NO_RUNTIME;
    }
  }
  mkdirSync(OUTPUT, { recursive: true });
  const made: Record<string, string> = {};
  for (const program of ["broker", "connector"]) {
    const output = join(OUTPUT, `sallyport-${program}`);
    console.log(`making dist/deno/sallyport-${program}`);
    const args = ["compile", "-A", "--no-check", "--node-modules-dir=manual", "--output", output];
    const entry = join(ROOT, "compile", "entry", `${program}.ts`);
    const result = await tryCommand(`${ROOT}node_modules/.bin/deno`, [...args, entry], {
      cwd: ROOT,
      timeoutMs: COMPILE_MS,
    });
    if (result.code !== 0 && /denort|dl\.deno\.land/.test(result.stderr)) {
      console.error(result.stderr.trim());
      console.error(
        `Cannot compile with Deno: its runtime "denort" cannot be downloaded from here. Download denort of Deno ` +
          `${
            process.versions.deno ?? ""
          } for this machine elsewhere and set DENORT_BIN to it; or use "npm run compile", which takes Node.`,
      );
      return NO_RUNTIME;
    }
    if (result.code !== 0) {
      console.error(`Cannot compile with Deno: exit code ${result.code}\n${result.stderr}`);
      return 1;
    }
    made[program] = output;
  }
  await smokeTest(
    { broker: made.broker ?? "", connector: made.connector ?? "" },
    (line) => console.log(`trying: ${line}`),
  );
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
