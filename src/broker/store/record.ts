import type { StoredRecord, Timestamp } from "../model.ts";

/** Columns of a record just made. */
export function newRecord(id: string, now: Timestamp) {
  return { id, version: 1, created_at: now, updated_at: now };
}

/** Columns of a record that changes. */
export function nextVersion(record: { version: number }, now: Timestamp) {
  return { version: record.version + 1, updated_at: now };
}

/** Reads the columns that every record has. */
export function toRecord(
  row: { id: string; version: number; created_at: number; updated_at: number },
): StoredRecord {
  return { id: row.id, version: row.version, createdAt: row.created_at, updatedAt: row.updated_at };
}

/** What makes two names the same: case and Unicode composition do not tell them apart. */
export function nameKey(name: string): string {
  return name.normalize("NFC").toLowerCase();
}
