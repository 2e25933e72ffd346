/**
 * Makes the single executables: `node compile/main.ts [--host-only] [--no-smoke]`. In `dist/`: `sallyport-broker` and
 * `sallyport-connector` for this machine, `dist/<target>/` for the others, `SHA256SUMS`. Exit code 0: made and tried.
 */
import { chmodSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundle } from "./bundle.ts";
import { writeChecksums } from "./checksums.ts";
import { buildExecutable } from "./executable.ts";
import { targetOf } from "./header.ts";
import { nodeBinary } from "./node_binary.ts";
import { smokeTest } from "./smoke.ts";
import { hostTarget, type Target, TARGETS } from "./target.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const DIST = join(ROOT, "dist");
const CACHE = join(ROOT, "node_modules", ".cache", "sallyport");
const PROGRAMS = ["broker", "connector"] as const;

const began = performance.now();
const say = (line: string) => console.log(`[${((performance.now() - began) / 1000).toFixed(1)} s] ${line}`);

async function compile(
  program: string,
  target: Target,
  isHost: boolean,
  work: string,
  output: string,
): Promise<void> {
  const node = await nodeBinary(target, isHost, CACHE, say);
  await buildExecutable({ main: join(work, `${program}.mjs`), node, isHost, output, folder: work });
  chmodSync(output, 0o755);
  const found = targetOf(output);
  if (found !== target.name) {
    throw new Error(`Cannot use "${output}": it is for ${found}, not for ${target.name}`);
  }
}

async function main(args: readonly string[]): Promise<number> {
  const known = new Set(["--host-only", "--no-smoke"]);
  const unknown = args.find((arg) => !known.has(arg));
  if (unknown !== undefined) {
    console.error(`Cannot compile: unknown argument "${unknown}", expected ${[...known].join(", ")}`);
    return 2;
  }
  const host = hostTarget();
  if (host === undefined) {
    console.error(
      `Cannot compile on "${process.platform}-${process.arch}": expected ${TARGETS.map(({ name }) => name)}`,
    );
    return 2;
  }
  const work = join(CACHE, "work");
  rmSync(DIST, { recursive: true, force: true });
  for (const folder of [DIST, work]) mkdirSync(folder, { recursive: true });

  for (const program of [...PROGRAMS, "forker"]) {
    say(`bundling ${program}`);
    await bundle(join(ROOT, "compile", "entry", `${program}.ts`), join(work, `${program}.mjs`));
  }
  const made: string[] = [];
  for (
    const target of args.includes("--host-only") ? [host] : [host, ...TARGETS.filter((one) => one !== host)]
  ) {
    const folder = target === host ? "" : `${target.name}/`;
    mkdirSync(join(DIST, folder), { recursive: true });
    for (const program of PROGRAMS) {
      const name = `${folder}sallyport-${program}${target.suffix}`;
      say(`making dist/${name} for ${target.name}`);
      await compile(program, target, target === host, work, join(DIST, name));
      made.push(name);
    }
  }
  await writeChecksums(DIST, made);
  say(`wrote dist/SHA256SUMS of ${made.length} files`);

  if (!args.includes("--no-smoke")) {
    const forker = join(work, `forker${host.suffix}`);
    await compile("forker", host, true, work, forker);
    const path = (program: string) => join(DIST, `sallyport-${program}${host.suffix}`);
    const parts = { broker: path("broker"), connector: path("connector"), forker };
    await smokeTest(parts, (line) => say(`trying: ${line}`));
  }
  say("done");
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(
    error instanceof Error ? error.message : String(error),
    error instanceof Error ? error.cause ?? "" : "",
  );
  process.exitCode = 1;
}
