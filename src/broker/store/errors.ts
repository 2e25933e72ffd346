import { type ErrorOptions, SallyportError } from "../../platform/error.ts";

/** Codes of `StoreError` and of the classes derived from it. */
export const STORE_CODES = [
  "not_found",
  "version_conflict",
  "name_taken",
  "url_taken",
  "group_not_empty",
  "group_undeletable",
  "admin_token_last",
  "value_invalid",
  "token_unknown",
  "token_expired",
  "token_used",
  "token_revoked",
  "token_wrong_machine",
  "token_wrong_network",
  "connector_unknown",
  "connector_disabled",
  "key_taken",
  "certificate_revoked",
  "store_unavailable",
  "store_damaged",
  "store_failed",
  "store_newer",
  "store_in_use",
  "restore_unfinished",
  "data_folder_permissions",
  "store_file_exists",
  "store_file_failed",
] as const;

/** One of `STORE_CODES`. */
export type StoreCode = (typeof STORE_CODES)[number];

/** Codes with which an enrolment token is refused. */
export type TokenCode =
  | "token_unknown"
  | "token_expired"
  | "token_used"
  | "token_revoked"
  | "token_wrong_machine"
  | "token_wrong_network"
  | "connector_unknown"
  | "connector_disabled"
  | "key_taken";

/** The store cannot do what was asked; nothing was applied. `retryable` for `store_unavailable`. */
export class StoreError extends SallyportError<StoreCode> {
  constructor(code: StoreCode, message: string, options: ErrorOptions = {}) {
    super(code, message, { retryable: code === "store_unavailable", ...options });
  }
}

/** True when the store itself failed: what was asked may have been right, and may succeed later. */
export function isStoreFailure(error: unknown): error is StoreError {
  if (!(error instanceof StoreError)) return false;
  if (error.code === "store_unavailable") return error.retryable; // False: it is closed.
  return error.code === "store_failed" || error.code === "store_damaged";
}

/** An enrolment token that does not permit to enrol. */
export class TokenRefusedError extends StoreError {
  constructor(code: TokenCode, message: string, tokenId?: string) {
    super(code, message, tokenId === undefined ? {} : { details: { tokenId } });
  }
}

/** A record that does not exist: `not_found`. */
export function notFound(kind: string, id: string): StoreError {
  return new StoreError("not_found", `Cannot find ${kind} "${id}"`, { details: { kind, id } });
}

/** True when a record does not exist. */
export function isNotFound(error: unknown): boolean {
  return error instanceof StoreError && error.code === "not_found";
}

/** Throws `version_conflict` when the caller has seen another version of the record. */
export function checkVersion(kind: string, record: { id: string; version: number }, expected?: number): void {
  if (expected === undefined || expected === record.version) return;
  throw new StoreError(
    "version_conflict",
    `Cannot change ${kind} "${record.id}": it is at version ${record.version}, not ${expected}`,
    { details: { kind, id: record.id, version: record.version, expectedVersion: expected } },
  );
}
