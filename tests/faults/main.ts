/**
 * Injects faults under an open-loop load and prints what each cost: `npm run test:faults -- [--rate N] [--short]
 * [--only TEXT] [--write FILE]`. Exit code 1 when a bar was missed.
 */
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { FAULTS, runFault, type Verdict } from "./faults.ts";

const { values } = parseArgs({
  options: {
    rate: { type: "string", default: "500" },
    only: { type: "string", default: "" },
    write: { type: "string" },
    short: { type: "boolean", default: false },
  },
});

const verdicts: Verdict[] = [];
for (const fault of FAULTS.filter(({ name }) => name.includes(values.only))) {
  process.stderr.write(`${fault.name} ...\n`);
  const verdict = await runFault(fault, Number(values.rate), values.short ? "short" : "full");
  verdicts.push(verdict);
  const { summary, beyond } = verdict;
  process.stderr.write(
    `  ${summary.requests} requests, ${JSON.stringify(summary.outcomes)} ${beyond.join("; ")}\n`,
  );
}

const lines = [
  `| fault (${values.rate} requests/s) | requests | failed GETs | failed POSTs | p50 ms | p99 ms | slowest ms | bar |`,
  "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
  ...verdicts.map(({ fault, summary: s, beyond }) =>
    `| ${fault} | ${s.requests} | ${s.failedGets} | ${s.failedPosts} | ${s.p50Ms.toFixed(1)} | ${
      s.p99Ms.toFixed(1)
    } | ` +
    `${s.longestMs.toFixed(0)} | ${beyond.length === 0 ? "held" : `MISSED: ${beyond.join("; ")}`} |`
  ),
];
console.log(lines.join("\n"));
if (values.write !== undefined) await writeFile(values.write, `${lines.join("\n")}\n`);
process.exitCode = verdicts.every(({ beyond }) => beyond.length === 0) ? 0 : 1;
