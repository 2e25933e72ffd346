import { cpus, totalmem } from "node:os";
import type { Fault } from "./fault.ts";
import type { Verdict } from "./faults.ts";

/** One line of the table: what a fault cost, or why it was left out. */
export interface TableRow {
  fault: Fault;
  verdict?: Verdict;
  left?: string;
}

const BEGIN = "<!-- table: begin, written by npm run test:faults -- --write -->";
const END = "<!-- table: end -->";

/** The machine, in words. */
export function machine(): string {
  const [cpu] = cpus();
  const memory = Math.round(totalmem() / 1024 ** 3);
  return `Node ${process.version}, ${process.platform}, ${cpus().length} x ${cpu?.model.trim()}, ${memory} GiB`;
}

const HEAD = [
  "| fault | what is done | requests/s | requests | failed GETs | failed POSTs | p99 ms | slowest ms | detected ms | recovered ms | bar | held |",
  "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |",
];

/** The table in Markdown. */
export function table(rows: readonly TableRow[]): string {
  return [...HEAD, ...rows.map(line)].join("\n");
}

function line({ fault, verdict, left }: TableRow): string {
  const ms = (value: number | null): string => value === null ? "-" : value.toFixed(0);
  const head = `| ${fault.name} | ${fault.what} |`;
  if (verdict === undefined) return `${head} | | | | | | | | ${fault.bar} | ${left} |`;
  const { rate, summary: s, detectMs, recoverMs, note, beyond } = verdict;
  const held = [beyond.length === 0 ? "yes" : `MISSED: ${beyond.join("; ")}`, note].filter((t) => t !== "");
  return `${head} ${rate} | ${s.requests} | ${s.failedGets} | ${s.failedPosts} | ${s.p99Ms.toFixed(0)} | ` +
    `${s.longestMs.toFixed(0)} | ${ms(detectMs)} | ${ms(recoverMs)} | ${fault.bar} | ${held.join("; ")} |`;
}

/** Lines of the page's table that were measured in one way. */
interface Measurement {
  /** The extent and the machine, e.g. `full extent, Node v26.10.0, linux, 2 x AMD EPYC, 24 GiB`. */
  how: string;
  lines: readonly string[];
}

/**
 * The page with these rows in its table, below what they were measured with: `how` says the extent and the machine. Lines of
 * faults that did not run now stay below what those were measured with; the lines of faults that are no more go. Throws
 * when the page has no place for a table.
 */
export function withTable(
  page: string,
  rows: readonly TableRow[],
  faults: readonly Fault[],
  how: string,
): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) {
    throw new Error("Cannot write the table: its place in the page is not marked");
  }
  const names = faults.map(({ name }) => name);
  const have = new Set(rows.map(({ fault }) => fault.name));
  const kept = measurements(page.slice(begin, end)).map(({ how, lines }) => ({
    how,
    lines: lines.filter((text) => names.includes(nameIn(text)) && !have.has(nameIn(text))),
  }));
  const same = kept.filter((one) => one.how === how).flatMap(({ lines }) => lines);
  const now = { how, lines: [...rows.map(line), ...same] };
  const sections = [now, ...kept.filter((one) => one.how !== how)]
    .filter(({ lines }) => lines.length > 0)
    .map(({ how, lines }) => {
      const inOrder = lines.toSorted((a, b) => names.indexOf(nameIn(a)) - names.indexOf(nameIn(b)));
      return [`Measured with ${how}.\n`, ...HEAD, ...inOrder].join("\n");
    });
  return `${page.slice(0, begin)}${BEGIN}\n\n${sections.join("\n\n")}\n\n${page.slice(end)}`;
}

/** What stands in the page's table. A heading ends with an empty line: the formatter wraps a long one. */
function measurements(text: string): Measurement[] {
  const found: { how: string; lines: string[] }[] = [];
  let below: string[] | undefined;
  for (const block of text.split(/\n\s*\n/)) {
    const [rows, words] = [true, false].map((are) =>
      block.split("\n").filter((one) => one.startsWith("| ") === are)
    );
    const said = words!.join(" ").trim();
    if (said !== "") {
      const how = /^Measured with (.*)\.$/.exec(said)?.[1];
      below = how === undefined ? undefined : [];
      if (how !== undefined) found.push({ how, lines: below! });
    }
    if (rows!.length === 0) continue;
    if (below === undefined) {
      throw new Error(`Cannot write the table: nothing says what "${rows![0]}" was measured with`);
    }
    below.push(...rows!);
  }
  return found;
}

/** The fault that a line is of. */
function nameIn(text: string): string {
  return text.split("|")[1]!.trim();
}
