import { SallyportError } from "../../platform/error.ts";

/** Codes of `UsageError`. */
export const CLI_CODES = ["usage", "token_missing", "token_in_arguments", "token_unreadable"] as const;

/** The program was called in a way that cannot work: exit code 2. */
export class UsageError extends SallyportError<(typeof CLI_CODES)[number]> {}
