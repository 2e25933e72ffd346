import { type ErrorOptions, SallyportError } from "../../platform/error.ts";

/** Codes of errors that a listener raises. */
export const LISTENER_CODES = ["listen_failed", "cidr_invalid"] as const;

/** One of {@linkcode LISTENER_CODES}. */
export type ListenerCode = (typeof LISTENER_CODES)[number];

/** A listener cannot start: its address is taken, not of this host, not permitted, or its settings are wrong. */
export class ListenerError extends SallyportError<ListenerCode> {
  constructor(code: ListenerCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}
