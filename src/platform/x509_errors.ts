import { type ErrorOptions, SallyportError } from "./error.ts";

/** Codes of `X509Error`. */
export const X509_CODES = ["csr_invalid", "certificate_invalid", "key_invalid"] as const;

/** One of `X509_CODES`. */
export type X509Code = (typeof X509_CODES)[number];

/** A certificate request, certificate or private key that cannot be read or is not acceptable; `details.reason` says why. */
export class X509Error extends SallyportError<X509Code> {
  constructor(code: X509Code, message: string, options: ErrorOptions = {}) {
    super(code, message, options);
  }
}
