import { SallyportError } from "../../platform/error.ts";

/** Codes of `DoctorError`. */
export const DOCTOR_CODES = ["checks_failed", "disk_full"] as const;

/** What `doctor` found is not all in order. */
export class DoctorError extends SallyportError<(typeof DOCTOR_CODES)[number]> {}
