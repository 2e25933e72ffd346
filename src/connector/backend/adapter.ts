import type { BackendRequest } from "./port.ts";

/** Which adapter carries a request, or why none may: its framing is ambiguous, or it is a CONNECT. */
export type AdapterChoice = "undici" | "node_http" | "refused_connect" | "refused_framing";

/** Methods for which undici sends `Content-Length: 0` where there is no body. */
const EXPECTS_BODY: ReadonlySet<string> = new Set(["PUT", "POST", "PATCH", "QUERY", "PROPFIND", "PROPPATCH"]);

/**
 * undici costs half of `node:http`, so it takes what it can do right: origin-form targets, one Host, a body of known length.
 * `node:http` takes the rest: `OPTIONS *`, Expect, Upgrade, hop-by-hop fields, several Hosts, an explicit `Content-Length: 0`
 * that undici would drop, and chunked bodies, whose head must leave before the first byte (undici holds it back until then).
 */
export function adapterFor(request: BackendRequest): AdapterChoice {
  const { headers, method } = request;
  if (method === "CONNECT") return "refused_connect";
  let length: string | null = null;
  let chunked = false;
  let hosts = 0;
  let special = request.target.charCodeAt(0) !== 0x2f;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    switch (name.length) {
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
  return special || hosts !== 1 ? "node_http" : "undici";
}

function isName(name: string, lower: string): boolean {
  return name === lower || name.toLowerCase() === lower;
}
