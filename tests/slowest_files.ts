/** A reporter of Node's test runner: says before the closing counts which files took longest, and how many seconds. */
import { relative } from "node:path";
import type { TestEvent } from "node:test/reporters";

const SHOWN = 10;

export default async function* slowestFiles(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const seconds: [string, number][] = [];
  for await (const { type, data } of events) {
    // One for each file, and one without for the whole run.
    if (type === "test:summary" && data.file !== undefined) {
      seconds.push([relative(process.cwd(), data.file), data.duration_ms / 1_000]);
    }
    // The plan of the whole run comes at its end.
    const isEnd = type === "test:plan" && data.file === undefined;
    if (!isEnd || seconds.length <= SHOWN) continue;
    const slowest = seconds.toSorted((a, b) => b[1] - a[1]).slice(0, SHOWN);
    const lines = slowest.map(([file, took]) => `  ${took.toFixed(1).padStart(6)} s  ${file}\n`);
    yield `slowest files:\n${lines.join("")}`;
  }
}
