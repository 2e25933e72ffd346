import { SallyportError } from "../platform/error.ts";

/** Codes of `ControlError`. */
export const CONTROL_CODES = [
  "control_closed",
  "control_timeout",
  "control_overloaded",
  "unsupported",
] as const;

/** A control request got no usable answer; another code than these is the peer's own. */
export class ControlError extends SallyportError {}
