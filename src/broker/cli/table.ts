// deno-lint-ignore no-control-regex -- a name with escape sequences must not reach a terminal as such
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

/** A cell: nothing shows as `-`. */
export type Cell = string | number | boolean | null | undefined;

/** Rows under a head, columns aligned; `nothing` where there are none. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[], nothing: string): string {
  if (rows.length === 0) return nothing;
  const lines = [head, ...rows].map((row) => row.map(cellText));
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines.map((line) => line.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd())
    .join("\n");
}

/** Names and values under one another, for a single record. */
export function facts(entries: readonly (readonly [string, Cell])[]): string {
  const width = Math.max(...entries.map(([name]) => name.length));
  return entries.map(([name, value]) => `${name.padEnd(width)}  ${cellText(value)}`).join("\n");
}

/** A value as it may stand on a terminal. */
export function cellText(value: Cell): string {
  if (value === null || value === undefined || value === "") return "-";
  return typeof value === "boolean" ? (value ? "yes" : "no") : String(value).replace(CONTROL, "?");
}

/** A moment of the API without its fraction of a second: `2030-01-31 12:00:00Z`. */
export function when(moment: string | null): string {
  return moment === null ? "-" : moment.replace("T", " ").replace(/\.\d+Z$/, "Z");
}
