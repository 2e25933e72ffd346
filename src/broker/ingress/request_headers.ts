import type { HeaderList } from "../../protocol/heads.ts";
import type { RequestFacts } from "./client_facts.ts";
import { requestRules, withoutNominated } from "./header_rules.ts";

/** What of a user's request goes to the backend. */
export interface OutgoingHeaders {
  headers: HeaderList;
  /** True when the framing says that a body follows. */
  hasBody: boolean;
  /** False: framing or Host can be read in more than one way (RFC 9112 sections 3.2 and 6.1); refuse the request. */
  sound: boolean;
}

/**
 * The header list for the backend of an HTTP/1.1 request: order, case and duplicates kept, what belongs to the
 * connection taken out, Host in its place, forwarded facts at the end.
 */
export function outgoingHeaders(
  raw: readonly string[],
  host: string,
  facts: RequestFacts,
): OutgoingHeaders {
  const headers: HeaderList = [];
  let hasBody = false;
  let connection = "";
  let hosts = 0;
  let codings = 0;
  let trailersWelcome = false;
  let sound = true;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!;
    const value = raw[i + 1]!;
    switch (requestRules.of(name)) {
      case "keep":
      case "cookie":
        headers.push(name, value);
        break;
      case "length":
        headers.push(name, value);
        if (value !== "0") hasBody = true;
        break;
      case "coding":
        hasBody = true;
        codings += 1;
        if (value.toLowerCase() !== "chunked") sound = false;
        break;
      case "host":
        hosts += 1;
        headers.push(name, host);
        break;
      case "connection":
        connection = connection === "" ? value : `${connection},${value}`;
        break;
      case "te":
        if (saysTrailers(value)) trailersWelcome = true;
        break;
    }
  }
  const kept = connection === "" || connection === "keep-alive"
    ? headers
    : withoutNominated(headers, connection);
  // Of this hop, but what it asks for every hop can give: said anew (RFC 9110 section 10.1.4).
  if (trailersWelcome) kept.push("TE", "trailers");
  addForwarded(kept, facts);
  return { headers: kept, hasBody, sound: sound && hosts === 1 && codings <= 1 };
}

/** The same for a request to change the protocol: what it asks for goes with it, hop by hop as it is. */
export function outgoingUpgradeHeaders(
  raw: readonly string[],
  host: string,
  facts: RequestFacts,
): OutgoingHeaders {
  const outgoing = outgoingHeaders(raw, host, facts);
  for (let i = 0; i < raw.length; i += 2) {
    if (raw[i]!.toLowerCase() === "upgrade") outgoing.headers.push(raw[i]!, raw[i + 1]!);
  }
  outgoing.headers.push("Connection", "Upgrade");
  return outgoing;
}

/** The same for an HTTP/2 request: pseudo-headers left out, Host first, cookie crumbs joined (RFC 9113 section 8.2.3). */
export function outgoingHeadersOfStream(
  raw: readonly string[],
  host: string,
  facts: RequestFacts,
): HeaderList {
  const headers: HeaderList = ["host", host];
  let cookieAt = -1;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!;
    if (name.charCodeAt(0) === 0x3a) continue;
    switch (requestRules.of(name)) {
      case "keep":
      case "length":
        headers.push(name, raw[i + 1]!);
        break;
      case "cookie":
        if (cookieAt < 0) cookieAt = headers.push(name, raw[i + 1]!) - 1;
        else headers[cookieAt] += `; ${raw[i + 1]!}`;
        break;
      case "te":
        if (saysTrailers(raw[i + 1]!)) headers.push("te", "trailers");
        break;
    }
  }
  addForwarded(headers, facts);
  return headers;
}

/** Trailers of a request for the backend: what only a head may say is left out (RFC 9110 section 6.5.1). */
export function outgoingTrailers(raw: HeaderList): HeaderList {
  if (raw.length === 0) return raw;
  const trailers: HeaderList = [];
  for (let i = 0; i < raw.length; i += 2) {
    if (requestRules.of(raw[i]!) === "keep") trailers.push(raw[i]!, raw[i + 1]!);
  }
  return trailers;
}

/** True where a TE says that trailers are welcome; the other codings that it may name are of one hop. */
function saysTrailers(te: string): boolean {
  return te === "trailers" || te.split(",").some((coding) => coding.trim().toLowerCase() === "trailers");
}

function addForwarded(headers: HeaderList, facts: RequestFacts): void {
  headers.push(
    "X-Forwarded-For",
    facts.forwardedFor,
    "X-Forwarded-Host",
    facts.host,
    "X-Forwarded-Proto",
    facts.proto,
  );
}
