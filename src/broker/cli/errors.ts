import { SallyportError } from "../../platform/error.ts";

/** Codes of the command line's own failures; those of the admin API pass through under their own. */
export const CLI_CODES = [
  "usage_invalid",
  "admin_token_missing",
  "admin_unreachable",
  "admin_answer_invalid",
  "reference_unknown",
  "reference_ambiguous",
  "backup_failed",
  "restore_refused",
] as const;

export type CliCode = typeof CLI_CODES[number];

/** Wrong usage or configuration: the program ends with 2. `usage_invalid`, `admin_token_missing`. */
export class UsageError extends SallyportError<CliCode> {}

/** A command that was well given and failed: the program ends with 1. */
export class CommandError extends SallyportError<CliCode> {}

/** A refusal of the admin API, with the code of its problem body. `invalid_request` counts as wrong usage. */
export class AdminApiError extends SallyportError {
  readonly status: number;

  constructor(code: string, status: number, message: string, requestId: string) {
    super(code, message, { details: { status, requestId } });
    this.status = status;
  }
}
