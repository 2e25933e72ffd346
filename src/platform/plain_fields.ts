import { SallyportError } from "./error.ts";
import type { LogFields } from "./log.ts";

/** Names of fields whose values are never written, whoever logs them; in lower case. */
const MASKED_KEYS = new Set([
  "authorization",
  "proxy-authorization",
  "cookie",
  "set-cookie",
  "password",
  "secret",
  "token",
  "admintoken",
  "privatekey",
]);
/** Tokens of ours. */
const TOKEN = /\bsp[a-z]\d?_[\w-]{8,}/g;
/** What looks like a secret inside of any text. */
const MASKED_TEXT = [
  // First, and to the end of a text that was cut short: what masks others must not take its beginning away.
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[^]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g,
  /Bearer\s+[\w.~+/=-]+/gi,
  TOKEN,
];
const MASK = "***";
const MAX_DEPTH = 6;

/** Text with tokens of ours replaced: for what repeats a command line, on which they do not belong. */
export function maskTokens(text: string): string {
  return text.replace(TOKEN, MASK);
}

/** Text with everything that looks like a secret replaced. */
export function maskText(text: string): string {
  return MASKED_TEXT.reduce((masked, pattern) => masked.replace(pattern, MASK), text);
}

/**
 * Fields as plain values: secrets masked, errors with what matters of them, no cycles, no big integers, bounded depth.
 * A stack is written only of what nobody foresaw: where an error of ours says what happened, its place in the code tells
 * an administrator nothing, and a full disk would be filled by it.
 */
export function plainFields(fields: LogFields): LogFields {
  return plainValue(fields, 0) as LogFields;
}

function plainValue(value: unknown, depth: number, foreseen = false): unknown {
  if (typeof value === "string") return maskText(value);
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "function" || typeof value === "symbol") return undefined;
  if (typeof value !== "object" || value === null) return value;
  if (depth >= MAX_DEPTH) return "...";
  if (value instanceof Error) {
    const { name, message, stack, cause } = value;
    const known = foreseen || value instanceof SallyportError;
    const plain = {
      name,
      ...("code" in value ? { code: value.code } : {}),
      message,
      ...(known ? {} : { stack }),
      ...(cause instanceof Error ? { cause: plainValue(cause, depth + 2, known) } : {}),
      ...(cause === undefined || cause instanceof Error ? {} : { cause }),
    };
    return plainValue(plain, depth + 1);
  }
  if (Array.isArray(value)) return value.map((item) => plainValue(item, depth + 1));
  if ("toJSON" in value && typeof value.toJSON === "function") return plainValue(value.toJSON(), depth + 1);
  if (value instanceof Map || value instanceof Set) return plainValue([...value], depth + 1);
  const entries = Object.entries(value).map(([name, item]) =>
    [name, MASKED_KEYS.has(name.toLowerCase()) ? MASK : plainValue(item, depth + 1)] as const
  );
  return Object.fromEntries(entries);
}
