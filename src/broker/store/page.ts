import { StoreError } from "./errors.ts";
import type { Page, PageQuery } from "./port.ts";

/** Largest page. */
export const MAX_PAGE = 1_000;

/**
 * How many rows to ask for: one more than the page, which tells whether there is a next one. Cursors are the id of a
 * page's last record, so what is inserted or deleted meanwhile neither repeats nor hides a record.
 */
export function rowsToAsk({ limit }: PageQuery): number {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_PAGE) {
    throw new StoreError("value_invalid", `Cannot list: limit "${limit}" is not 1 to ${MAX_PAGE}`);
  }
  return limit + 1;
}

/** Cuts the page out of the rows that came. */
export function toPage<Row extends { id: string | number }, T>(
  rows: readonly Row[],
  { limit }: PageQuery,
  toItem: (row: Row) => T,
): Page<T> {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return {
    items: items.map(toItem),
    next: rows.length > limit && last !== undefined ? String(last.id) : null,
  };
}
