import { SallyportError } from "../../platform/error.ts";

/** Codes of `StatusError`. */
export const STATUS_CODES = ["connector_not_running", "status_unavailable", "takeover_refused"] as const;

/** The status of a running connector cannot be offered or read. */
export class StatusError extends SallyportError<(typeof STATUS_CODES)[number]> {}
