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

/** The same for HTTP/2: names in lower case, `:status` first. */
export function incomingHeadersOfStream(status: number, raw: HeaderList): string[] {
  const kept = incomingHeaders(raw);
  const headers = [":status", String(status)];
  for (let i = 0; i < kept.length; i += 2) headers.push(kept[i]!.toLowerCase(), kept[i + 1]!);
  return headers;
}
