import type { BackendRequest, HeaderList } from "./port.ts";

/** Methods that `node:http` takes to have no body, and so adds no framing for. */
const NO_BODY: ReadonlySet<string> = new Set(["GET", "HEAD", "DELETE", "OPTIONS", "TRACE"]);

/**
 * The header list with what must not be left to `node:http`, which guesses framing by method: chunked for a body of unknown
 * length, `Content-Length: 0` for none where the method would have one, and a Host (`host`) where there is none. A body that
 * announces trailers is sent chunked, whatever its length, since only so they can follow it; TE is named in Connection
 * (RFC 9110 section 10.1.4).
 */
export function framedHeaders(request: BackendRequest, host: string): HeaderList {
  const { headers, hasBody, method } = request;
  const names = new Set<string>();
  for (let i = 0; i < headers.length; i += 2) names.add(headers[i]!.toLowerCase());
  let framed = names.has("host") ? [...headers] : ["Host", host, ...headers];
  if (names.has("te")) framed.push("Connection", "TE");
  if (hasBody && names.has("trailer") && names.has("content-length")) {
    framed = framed.filter((_, i) => framed[i & ~1]!.toLowerCase() !== "content-length");
    names.delete("content-length");
  }
  if (names.has("content-length") || names.has("transfer-encoding")) return framed;
  if (hasBody) framed.push("Transfer-Encoding", "chunked");
  else if (!NO_BODY.has(method)) framed.push("Content-Length", "0");
  return framed;
}
