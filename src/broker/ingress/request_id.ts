import { randomBytes } from "node:crypto";

/** Makes request ids, e.g. `k3f9x2abq7-1f4`: lower-case letters, digits and a hyphen; unique, not secret. */
export type RequestIds = () => string;

/** Digits of base 32 as `Number.prototype.toString` writes it. */
const DIGITS = "0123456789abcdefghijklmnopqrstuv";

/**
 * A source of request ids: 50 random bits once, so that processes do not meet, then a counter, so that a request
 * costs no random numbers. One per process is enough.
 */
export function createRequestIds(random: (size: number) => Uint8Array = randomBytes): RequestIds {
  let prefix = "";
  for (const byte of random(10)) prefix += DIGITS[byte & 31];
  prefix += "-";
  let counter = 0;
  return () => prefix + (++counter).toString(32);
}
