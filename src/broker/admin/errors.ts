import { SallyportError } from "../../platform/error.ts";
import { listenFailure } from "../../platform/listen_address.ts";

/** Codes of the admin API's own failures; those of the store pass through under their own. */
export const ADMIN_CODES = [
  "unauthorized",
  "invalid_request",
  "body_too_large",
  "media_type_unsupported",
  "route_unknown",
  "method_not_allowed",
  "internal_error",
  "admin_listen_failed",
  "admin_token_file_invalid",
] as const;

export type AdminCode = typeof ADMIN_CODES[number];

/** One thing wrong with a request: where (`body.externalUrls.0`), and what. */
export interface Fault {
  path: string;
  message: string;
}

/** The caller has to send something else: codes `unauthorized` to `method_not_allowed`. */
export class AdminRequestError extends SallyportError<AdminCode> {
  readonly faults: readonly Fault[];

  constructor(code: AdminCode, message: string, faults: readonly Fault[] = []) {
    super(code, message);
    this.faults = faults;
  }
}

/** The admin listener cannot start: `admin_listen_failed`. */
export class AdminListenError extends SallyportError<"admin_listen_failed"> {
  constructor(host: string, port: number, cause: unknown) {
    const why = listenFailure(cause);
    super("admin_listen_failed", `Cannot listen for the admin API on "${host}" port ${port}: ${why}`, {
      cause,
    });
  }
}

/** The file of the first admin token is not one that this program wrote: `admin_token_file_invalid`. */
export class AdminTokenFileError extends SallyportError<"admin_token_file_invalid"> {
  constructor(path: string, state: string, cause?: unknown) {
    super("admin_token_file_invalid", `Cannot use admin token file "${path}": ${state}`, { cause });
  }
}
