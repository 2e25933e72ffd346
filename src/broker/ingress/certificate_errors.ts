import { type ErrorOptions, SallyportError } from "../../platform/error.ts";

/** Codes of errors of public certificates. */
export const CERTIFICATE_CODES = [
  "public_certificate_unreadable",
  "public_certificate_invalid",
  "public_certificate_host_invalid",
] as const;

/** One of {@linkcode CERTIFICATE_CODES}. */
export type CertificateCode = (typeof CERTIFICATE_CODES)[number];

/** A public certificate cannot be used: at start the broker refuses to run, later it keeps the pair before. */
export class CertificateError extends SallyportError<CertificateCode> {
  constructor(code: CertificateCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}
