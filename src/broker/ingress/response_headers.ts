import type { HeaderList } from "../../protocol/heads.ts";
import { responseRules, withoutNominated } from "./header_rules.ts";

/** The header list for an HTTP/1.1 user: as the backend sent it, without what belonged to the backend's connection. */
export function incomingHeaders(raw: HeaderList): HeaderList {
  let dropped = 0;
  let connection = "";
  for (let i = 0; i < raw.length; i += 2) {
    const rule = responseRules.of(raw[i]!);
    if (rule === "keep" || rule === "length") {
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
  const kept = incomingHeaders(raw);
  const trailers: HeaderList = [];
  for (let i = 0; i < kept.length; i += 2) {
    if (responseRules.of(kept[i]!) !== "length") trailers.push(kept[i]!, kept[i + 1]!);
  }
  return trailers;
}

/** A header list for an HTTP/2 user: names in lower case, `:status` first. */
export function incomingHeadersOfStream(status: number, raw: HeaderList): string[] {
  const kept = incomingHeaders(raw);
  const headers = [":status", String(status)];
  for (let i = 0; i < kept.length; i += 2) headers.push(kept[i]!.toLowerCase(), kept[i + 1]!);
  return headers;
}
