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

/** The table of all faults in Markdown. */
export function table(rows: readonly TableRow[]): string {
  const ms = (value: number | null): string => value === null ? "-" : value.toFixed(0);
  return [
    "| fault | what is done | requests | failed GETs | failed POSTs | p99 ms | slowest ms | detected ms | recovered ms | bar | held |",
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |",
    ...rows.map(({ fault, verdict, left }) => {
      const head = `| ${fault.name} | ${fault.what} |`;
      if (verdict === undefined) return `${head} | | | | | | | ${fault.bar} | ${left} |`;
      const { summary: s, detectMs, recoverMs, note, beyond } = verdict;
      const held = [beyond.length === 0 ? "yes" : `MISSED: ${beyond.join("; ")}`, note].filter((t) =>
        t !== ""
      );
      return `${head} ${s.requests} | ${s.failedGets} | ${s.failedPosts} | ${s.p99Ms.toFixed(0)} | ` +
        `${s.longestMs.toFixed(0)} | ${ms(detectMs)} | ${ms(recoverMs)} | ${fault.bar} | ${
          held.join("; ")
        } |`;
    }),
  ].join("\n");
}

/** The page with another table. `how`: the load and the machine. */
export function withTable(page: string, lines: string, how: string): string {
  const [before, after] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (before < 0 || after < before) {
    throw new Error("Cannot write the table: its place in the page is not marked");
  }
  return `${page.slice(0, before)}${BEGIN}\n\nMeasured with ${how}.\n\n${lines}\n\n${page.slice(after)}`;
}
