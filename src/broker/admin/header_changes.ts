import type { HeaderChange } from "../app_traffic.ts";

/** Fields that speak of one connection, of the body's length, or that other settings decide. */
const NOT_OURS: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "forwarded",
  "host",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "via",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
]);

/** A header name (RFC 9110 section 5.1). */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** A field value (RFC 9110 section 5.5): visible characters, spaces and tabs between them. */
const VALUE = /^(?:[\x21-\x7e\x80-\xff](?:[\t \x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/;

/** Why a change of a header cannot be made; null when it can. */
export function headerChangeFault({ action, name, value }: HeaderChange): string | null {
  if (!TOKEN.test(name)) return `"${name.slice(0, 100)}" is not a header name`;
  if (NOT_OURS.has(name.toLowerCase())) return `header "${name}" is not to be changed by a rule`;
  if (action === "remove") return value === undefined ? null : `removing header "${name}" takes no value`;
  if (value === undefined) return `header "${name}" needs a value`;
  if (!VALUE.test(value)) return `value of header "${name}" has characters that no header may have`;
  return null;
}
