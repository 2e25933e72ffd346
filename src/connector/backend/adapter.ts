import { isGrpc } from "./http2_head.ts";
import type { BackendRequest, HeaderList } from "./port.ts";

/** Which adapter carries a request, or why none may: its framing is ambiguous, or it is a CONNECT. */
export type AdapterChoice =
  | "undici"
  /** With the TE taken out (`withoutTe`): it needs a Connection beside it, which undici does not send. */
  | "undici_without_te"
  | "node_http"
  /** On a connection that nobody else uses, before or after: it may make the connection the user's own. */
  | "node_http_alone"
  | "http2"
  | "refused_connect"
  | "refused_framing";

/** Which requests go to a backend over HTTP/2, decided once by its settings. */
export type Http2Use = "never" | "grpc" | "always";

/**
 * Schemes by which some servers authenticate the connection and all that follows on it, whoever it comes from (RFC 4559
 * section 6; NTLM): on a connection that is shared, the next user would be taken for this one.
 */
const OF_CONNECTION = /^(?:ntlm|negotiate)\b/i;

/** Methods for which undici sends `Content-Length: 0` where there is no body. */
const EXPECTS_BODY: ReadonlySet<string> = new Set(["PUT", "POST", "PATCH", "QUERY", "PROPFIND", "PROPPATCH"]);

/**
 * undici costs half of `node:http`, so it takes what it can do right: origin-form targets, one Host, a body of known length.
 * `node:http` takes the rest: `OPTIONS *`, Expect, Upgrade, hop-by-hop fields, several Hosts, trailers, an explicit
 * `Content-Length: 0` that undici would drop, and chunked bodies, whose head must leave before the first byte (undici holds it
 * back until then). `node:http2` takes what `http2` says, but no change of protocol: HTTP/2 has none.
 */
export function adapterFor(request: BackendRequest, http2: Http2Use = "never"): AdapterChoice {
  const { headers, method } = request;
  if (method === "CONNECT") return "refused_connect";
  let length: string | null = null;
  let chunked = false;
  let hosts = 0;
  let te = false;
  let grpc = false;
  let alone = false;
  let special = request.target.charCodeAt(0) !== 0x2f;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    switch (name.length) {
      case 2:
        if (isName(name, "te")) te = true;
        break;
      case 4:
        if (isName(name, "host")) hosts++;
        break;
      case 6:
        if (isName(name, "expect")) special = true;
        break;
      case 7:
        if (isName(name, "upgrade") || isName(name, "trailer")) special = true;
        break;
      case 10:
        if (isName(name, "connection") || isName(name, "keep-alive")) special = true;
        break;
      case 12:
        if (isName(name, "content-type") && isGrpc(headers[i + 1]!)) grpc = true;
        break;
      case 13:
        if (isName(name, "authorization") && OF_CONNECTION.test(headers[i + 1]!)) alone = true;
        break;
      case 14:
        if (!isName(name, "content-length")) break;
        if (length !== null) return "refused_framing";
        length = headers[i + 1]!;
        break;
      case 17:
        if (!isName(name, "transfer-encoding")) break;
        if (headers[i + 1]!.toLowerCase() !== "chunked" || !request.hasBody) return "refused_framing";
        chunked = true;
    }
  }
  if (length !== null) {
    if (chunked) return "refused_framing";
    if (!/^[0-9]{1,15}$/.test(length) || (!request.hasBody && Number(length) > 0)) return "refused_framing";
    if (Number(length) === 0 && !EXPECTS_BODY.has(method)) special = true;
  } else if (request.hasBody) {
    special = true;
  }
  if (http2 !== "never" && (grpc || http2 === "always") && request.upgrade !== true) return "http2";
  if (alone) return "node_http_alone";
  if (special || hosts !== 1 || (te && grpc)) return "node_http";
  return te ? "undici_without_te" : "undici";
}

/** Takes TE out of a header list, in place. */
export function withoutTe(headers: HeaderList): void {
  for (let i = headers.length - 2; i >= 0; i -= 2) if (isName(headers[i]!, "te")) headers.splice(i, 2);
}

function isName(name: string, lower: string): boolean {
  return name === lower || name.toLowerCase() === lower;
}
