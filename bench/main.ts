import { writeFile } from "node:fs/promises";
import { cpus, loadavg } from "node:os";
import process from "node:process";
import { DemoError } from "../src/demo/errors.ts";
import { cpuOf } from "./stage/cpus.ts";
import { BenchError } from "./errors.ts";
import { type BenchOptions, parseBenchOptions, usage } from "./options.ts";
import { Progress } from "./progress.ts";
import type { RowResult } from "./row.ts";
import { ROWS } from "./rows/index.ts";
import { Stage } from "./stage/stage.ts";
import { rowTable, timeTaken, verdict } from "./table.ts";
import { toolVersions } from "./tools.ts";

/** A load average above which something else has a share in all figures. */
const BUSY_LOAD = 1;

async function main(args: readonly string[]): Promise<number> {
  const options = parseBenchOptions(args, ROWS);
  if (options === null) {
    process.stdout.write(usage(ROWS));
    return 0;
  }
  const machine = {
    node: process.versions.node,
    ...toolVersions(),
    cpus: cpus().length,
    cpu: cpus()[0].model,
  };
  process.stdout.write(`${heading(machine, options)}\n\n`);
  const [load] = loadavg();
  if (load > BUSY_LOAD) {
    process.stdout.write(
      `Note: this machine is busy already (load ${load.toFixed(1)}); read ratios only, if at all\n\n`,
    );
  }
  const rows = await measure(options);
  process.stdout.write(`${timeTaken(rows)}\n${verdict(Object.values(rows), options.quick)}\n`);
  if (options.json !== null) {
    const { quick, rounds } = options;
    const all = { at: new Date().toISOString(), machine, load, quick, rounds, rows };
    await writeFile(options.json, `${JSON.stringify(all, null, 2)}\n`);
  }
  const missed = Object.values(rows).some(({ bars }) => bars.some(({ pass }) => !pass));
  return options.strict && missed ? 1 : 0;
}

async function measure({ rows, quick, rounds }: BenchOptions): Promise<Record<string, RowResult>> {
  await using stage = await Stage.create();
  const progress = new Progress();
  const results: Record<string, RowResult> = {};
  try {
    for (const [at, row] of rows.entries()) {
      progress.row(`[${at + 1}/${rows.length}] ${row.summary}`);
      const context = { stage, quick, rounds, progress: (text: string) => progress.step(text) };
      const started = performance.now();
      results[row.name] = await row.run(context);
      results[row.name].seconds = (performance.now() - started) / 1000;
      progress.clear();
      process.stdout.write(`${rowTable(results[row.name])}\n`);
    }
  } finally {
    progress.clear();
  }
  return results;
}

function heading(
  { node, nginx, wrk, cpus, cpu }: Record<string, string | number>,
  options: BenchOptions,
): string {
  const how = options.quick ? "quick run, rough figures" : "medians";
  const rounds = `${options.rounds} ${options.rounds === 1 ? "round" : "rounds"}, ${how}`;
  return `Sallyport benchmark: ${cpus} x ${cpu}; Node ${node}, nginx ${nginx}, wrk ${wrk}; ${rounds}` +
    (cpuOf(0) === null
      ? ""
      : "\nWhere peers are compared, each process has another CPU than those it talks to");
}

// Children of the stage end with this process: see `Child` and the nginx stage.
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(name, () => process.exit(1));

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const expected = error instanceof BenchError || error instanceof DemoError;
  process.stderr.write(`${expected ? error.message : error instanceof Error ? error.stack : error}\n`);
  process.exitCode = error instanceof BenchError && error.usage ? 2 : 1;
}
