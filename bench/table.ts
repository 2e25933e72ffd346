import type { Bar, Line, RowResult } from "./row.ts";

/** A row as text for people: its lines as an aligned table, its bars, its notes. */
export function rowTable(row: RowResult): string {
  const parts = [row.title, "-".repeat(row.title.length)];
  if (row.lines.length > 0) parts.push(...aligned(cells(row)));
  if (row.bars.length > 0) parts.push("", ...row.bars.map(barLine));
  return [...parts, ...row.notes.map((note) => `  Note: ${note}`), ""].join("\n");
}

/** The last line: how many bars were passed, and which were not. */
export function verdict(rows: readonly RowResult[], quick: boolean): string {
  const missed = rows.flatMap((row) =>
    row.bars.filter(({ pass }) => !pass).map(({ what }) => `${row.title}: ${what}`)
  );
  const total = rows.reduce((sum, { bars }) => sum + bars.length, 0);
  const passed = `${total - missed.length} of ${total} bars passed.`;
  if (missed.length === 0) return passed;
  const warming = quick
    ? "\nA quick run measures programs that are still warming up: a full one may pass what this one misses."
    : "";
  return `${passed} Missed:\n${missed.map((what) => `  ${what}`).join("\n")}${warming}`;
}

/** What took how long, in the order of the rows. */
export function timeTaken(rows: Readonly<Record<string, RowResult>>): string {
  const each = Object.entries(rows).map(([name, { seconds = 0 }]) => `${name} ${seconds.toFixed(1)}`);
  const all = Object.values(rows).reduce((sum, { seconds = 0 }) => sum + seconds, 0);
  return `It took ${Math.round(all)} s: ${each.join(", ")}`;
}

/** A number with three or so digits that matter, thousands set apart. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return "-";
  const digits = Number.isInteger(value) || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function cells({ lines, cpuUnit }: RowResult): string[][] {
  const names = [...new Set(lines.flatMap(({ figures }) => Object.keys(figures)))];
  const has = (key: "cpu" | "rssMb" | "ratio") => lines.some((line) => line[key] !== undefined);
  const columns: [string, (line: Line) => string][] = [
    ["", ({ name }) => name],
    ...names.map((name): [string, (line: Line) => string] => [name, ({ figures }) => figure(figures[name])]),
  ];
  if (has("ratio")) columns.push(["x Node hop", ({ ratio }) => figure(ratio ?? NaN)]);
  if (has("cpu")) columns.push([`CPU ${cpuUnit}`, ({ cpu }) => perProcess(cpu)]);
  if (has("rssMb")) columns.push(["RSS MB", ({ rssMb }) => perProcess(rssMb)]);
  return [columns.map(([title]) => title), ...lines.map((line) => columns.map(([, cell]) => cell(line)))];
}

/** `broker 19.6 + connector 21.7`, or the bare figure where there is one process only. */
function perProcess(figures: Readonly<Record<string, number>> = {}): string {
  const all = Object.entries(figures);
  if (all.length === 1) return figure(all[0][1]);
  return all.map(([name, value]) => `${name} ${figure(value)}`).join(" + ");
}

function aligned(rows: readonly string[][]): string[] {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) => `  ${row.map((cell, at) => pad(cell, widths[at], at)).join("   ")}`.trimEnd());
}

/** Names to the left, numbers to the right. */
function pad(cell: string, width: number, column: number): string {
  return column === 0 ? cell.padEnd(width) : cell.padStart(width);
}

function barLine({ what, value, limit, kind, unit, pass }: Bar): string {
  const sign = kind === "least" ? "at least" : "at most";
  return `  ${pass ? "PASS" : "MISS"}  ${what}: ${figure(value)} ${unit}`.trimEnd() +
    ` (${sign} ${figure(limit)})`;
}
