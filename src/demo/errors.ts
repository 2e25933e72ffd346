import { type ErrorOptions, SallyportError } from "../platform/error.ts";

/** Codes of {@linkcode DemoError}. */
export const DEMO_CODES = [
  "demo_runtime_too_old",
  "demo_program_exited",
  "demo_program_silent",
  "demo_admin_refused",
  "demo_no_exchange",
] as const;

/** The demo cannot start or go on; the message says what was tried and holds the last log lines where there are any. */
export class DemoError extends SallyportError<(typeof DEMO_CODES)[number]> {
  constructor(code: (typeof DEMO_CODES)[number], message: string, options: ErrorOptions = {}) {
    super(code, message, options);
  }
}
