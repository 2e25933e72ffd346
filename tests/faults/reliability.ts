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

/** The table in Markdown; of faults that did not run now, the lines that the page has, where it has any. */
export function table(rows: readonly TableRow[], faults: readonly Fault[], page = ""): string {
  const lines = faults.map(({ name }) => {
    const row = rows.find(({ fault }) => fault.name === name);
    return row === undefined ? lineOf(name, page) : line(row);
  });
  return [...HEAD, ...lines.filter((text) => text !== undefined)].join("\n");
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

/** The line of a fault in a page. */
function lineOf(name: string, page: string): string | undefined {
  return page.split("\n").find((text) => text.startsWith("| ") && text.split("|")[1]!.trim() === name);
}

/** The page with another table. `how`: the load and the machine. */
export function withTable(page: string, lines: string, how: string): string {
  const [before, after] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (before < 0 || after < before) {
    throw new Error("Cannot write the table: its place in the page is not marked");
  }
  return `${page.slice(0, before)}${BEGIN}\n\nMeasured with ${how}.\n\n${lines}\n\n${page.slice(after)}`;
}
