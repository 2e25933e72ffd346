import type { HeaderList } from "../../protocol/heads.ts";
import { responseRules, withoutNominated } from "./header_rules.ts";

/** Who is told of each Content-Length of a response. */
export interface LengthSink {
  /** False: this response may say none. */
  noteLength(value: string): boolean;
}

/** Of heads that may say no length: those of 1xx responses (RFC 9110 section 8.6), and trailers. */
export const NO_LENGTH: LengthSink = { noteLength: () => false };

/** Who translates the values of headers that speak of the backend's own URLs. */
export interface HeaderTranslator {
  translate(name: string, value: string): string;
}

/** The header list for an HTTP/1.1 user: as the backend sent it, without what belonged to the backend's connection. */
export function incomingHeaders(
  raw: HeaderList,
  lengths?: LengthSink,
  translator?: HeaderTranslator,
): HeaderList {
  let dropped = 0;
  let connection = "";
  for (let i = 0; i < raw.length; i += 2) {
    const rule = responseRules.of(raw[i]!);
    if (
      rule === "keep" || rule === "translate" ||
      (rule === "length" && (lengths === undefined || lengths.noteLength(raw[i + 1]!)))
    ) {
      if (rule === "translate" && translator !== undefined) {
        raw[i + 1] = translator.translate(raw[i]!, raw[i + 1]!);
      }
      if (dropped > 0) {
        raw[i - dropped] = raw[i]!;
        raw[i - dropped + 1] = raw[i + 1]!;
      }
    } else {
      if (rule === "connection") {
        connection = connection === "" ? raw[i + 1]! : `${connection},${raw[i + 1]!}`;
      }
      dropped += 2;
    }
  }
  if (dropped > 0) raw.length -= dropped;
  return connection === "" || connection === "keep-alive" || connection === "close"
    ? raw
    : withoutNominated(raw, connection);
}

/** Trailers of a response for a user: without what would speak of a connection or of framing (RFC 9110 section 6.5.1). */
export function incomingTrailers(raw: HeaderList): HeaderList {
  return incomingHeaders(raw, NO_LENGTH);
}

/** A header list for an HTTP/2 user: names in lower case, `:status` first. Throws where HTTP/2 cannot say a header. */
export function headersOfStream(status: number, kept: readonly string[]): string[] {
  const headers = [":status", String(status)];
  for (let i = 0; i < kept.length; i += 2) {
    checkHeader(kept[i]!, kept[i + 1]!);
    headers.push(kept[i]!.toLowerCase(), kept[i + 1]!);
  }
  return headers;
}

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const NOT_IN_VALUES = /[^\t\x20-\x7e\x80-\xff]/;

/** Throws for a name or value that no header can have (RFC 9110 section 5): `node:http` checks that itself, `node:http2` does not. */
export function checkHeader(name: string, value: string): void {
  if (!TOKEN.test(name) || NOT_IN_VALUES.test(value)) {
    throw new TypeError("Cannot send header: not well-formed");
  }
}
