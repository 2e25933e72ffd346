import { parseArgs } from "node:util";
import { BenchError } from "./errors.ts";
import type { Row } from "./row.ts";

/** What the benchmark was asked to do. */
export interface BenchOptions {
  quick: boolean;
  strict: boolean;
  rounds: number;
  /** Where all figures go as JSON. */
  json: string | null;
  rows: readonly Row[];
}

/** What `--help` prints. */
export function usage(rows: readonly Row[]): string {
  const width = Math.max(...rows.map(({ name }) => name.length)) + 2;
  return `Measures Sallyport against a plain Node reverse proxy and an nginx one, side by side on this machine.

Usage: npm run bench -- [--quick] [--strict] [--rounds N] [--json FILE] [--only NAME,...]

  --quick          do less: ends within a minute, its figures are rough
  --strict         exit 1 when a bar is missed
  --rounds N       turns of each contender in rows that compare (default 5, with --quick 1)
  --json FILE      write all figures to FILE
  --only NAME,...  only these rows
  --help           print this

Rows:
${rows.map(({ name, summary }) => `  ${name.padEnd(width)}${summary}`).join("\n")}

Example: npm run bench -- --only small --rounds 3

It takes nginx, wrk and perl: apt-get install nginx-light wrk perl
Exit codes: 0 completed, 1 not completed (or a bar missed, with --strict), 2 wrong usage or a tool is missing.
`;
}

/** The options of a command line (without program and script); null when it asks for help. */
export function parseBenchOptions(args: readonly string[], rows: readonly Row[]): BenchOptions | null {
  const values = parse(args);
  if (values.help) return null;
  return {
    quick: values.quick,
    strict: values.strict,
    rounds: parseRounds(values.rounds ?? (values.quick ? "1" : "5")),
    json: values.json ?? null,
    rows: values.only === undefined ? rows : values.only.split(",").map((name) => rowNamed(name, rows)),
  };
}

function parse(args: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        quick: { type: "boolean", default: false },
        strict: { type: "boolean", default: false },
        rounds: { type: "string" },
        json: { type: "string" },
        only: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    return values;
  } catch (cause) {
    throw new BenchError((cause as Error).message, { usage: true, cause });
  }
}

function parseRounds(text: string): number {
  const rounds = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!(rounds >= 1 && rounds <= 99)) {
    throw new BenchError(`--rounds must be 1 to 99, got "${text}"`, { usage: true });
  }
  return rounds;
}

function rowNamed(name: string, rows: readonly Row[]): Row {
  const row = rows.find((row) => row.name === name);
  if (row !== undefined) return row;
  const known = rows.map(({ name }) => name).join(", ");
  throw new BenchError(`No row is called "${name}"; there are: ${known}`, { usage: true });
}
