/**
 * Injects faults under an open-loop load and prints what each cost: `npm run test:faults -- [--rate N] [--short | --write]
 * [--only TEXT] [--except TEXT]`. `--write` puts what has run into the table of docs/reliability.md. Exit code 1 when a bar
 * was missed, 2 for wrong arguments.
 */
import { readFile, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { FAULTS, runFault } from "./faults.ts";
import { machine, table, type TableRow, withTable } from "./reliability.ts";

const { values } = parseArgs({
  options: {
    rate: { type: "string", default: "500" },
    only: { type: "string", default: "" },
    except: { type: "string" },
    write: { type: "boolean", default: false },
    short: { type: "boolean", default: false },
  },
});
const rate = Number(values.rate);
const extent = values.short ? "short" : "full";
const { only, except } = values;
if (values.write && values.short) {
  process.stderr.write('Cannot take "--write" with "--short": the table is of the full extent\n');
  process.exit(2);
}

const rows: TableRow[] = [];
for (const fault of FAULTS) {
  if (!fault.name.includes(only) || (except !== undefined && fault.name.includes(except))) continue;
  process.stderr.write(`${fault.name} ...\n`);
  const reason = await fault.lacks?.() ?? null;
  if (reason !== null) {
    rows.push({ fault, left: `left out: ${reason}` });
    continue;
  }
  try {
    const verdict = await runFault(fault, rate, extent);
    rows.push({ fault, verdict });
    const { summary, beyond, note, detectMs, recoverMs } = verdict;
    process.stderr.write(
      `  ${summary.requests} requests, ${JSON.stringify(summary.outcomes)} p99 ${
        summary.p99Ms.toFixed(0)
      } ms, ` +
        `slowest ${summary.longestMs.toFixed(0)} ms, detected ${detectMs?.toFixed(0)} ms, ` +
        `recovered ${recoverMs?.toFixed(0)} ms ${note} ${beyond.join("; ")}\n`,
    );
  } catch (error) {
    rows.push({ fault, left: `FAILED: ${(error as Error).message}` });
    process.stderr.write(`  ${error}\n`);
  }
}

console.log(table(rows));
if (values.write) {
  const file = new URL("../../docs/reliability.md", import.meta.url);
  const page = await readFile(file, "utf8");
  await writeFile(file, withTable(page, rows, FAULTS, `${extent} extent, ${machine()}`));
}
process.exitCode = rows.every(({ verdict }) => verdict !== undefined && verdict.beyond.length === 0) ? 0 : 1;
