import { type StoreCode, StoreError } from "./errors.ts";

/**
 * What SQLite says, by primary result code (https://www.sqlite.org/rescode.html) and, for runtimes that give none,
 * by its English text.
 */
const FAILURES: readonly { result: number; text: RegExp; code: StoreCode; state: string }[] = [
  { result: 5, text: /database is locked/, code: "store_unavailable", state: "the database is locked" },
  { result: 6, text: /table is locked/, code: "store_unavailable", state: "a table is locked" },
  { result: 7, text: /out of memory/, code: "store_unavailable", state: "out of memory" },
  { result: 8, text: /readonly database/, code: "store_unavailable", state: "the database is read-only" },
  { result: 10, text: /disk I\/O error/, code: "store_unavailable", state: "the disk failed" },
  { result: 13, text: /disk is full/, code: "store_unavailable", state: "the disk is full" },
  { result: 14, text: /unable to open/, code: "store_unavailable", state: "the file cannot be opened" },
  { result: 11, text: /malformed/, code: "store_damaged", state: "the file is damaged" },
  { result: 26, text: /not a database/, code: "store_damaged", state: "the file is not a database" },
];

/** A failure of SQLite as a `StoreError`; one of ours passes through. */
export function toStoreError(cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause;
  const { message, errcode } = cause as { message?: unknown; errcode?: unknown };
  const primary = typeof errcode === "number" ? errcode & 0xff : undefined;
  const failure = FAILURES.find(({ result, text }) =>
    primary === undefined ? text.test(String(message)) : result === primary
  );
  return failure === undefined
    ? new StoreError("store_failed", `Cannot use the store: ${String(message)}`, { cause })
    : new StoreError(failure.code, `Cannot use the store: ${failure.state}`, { cause });
}

/** True for a failure of SQLite because somebody else holds a lock. */
export function isLocked(cause: unknown): boolean {
  const { message, errcode } = cause as { message?: unknown; errcode?: unknown };
  return typeof errcode === "number" ? (errcode & 0xff) === 5 : /database is locked/.test(String(message));
}
