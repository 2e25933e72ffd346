import type { BackendRequest, HeaderList } from "./port.ts";

/** Fields of one HTTP/1.1 connection, which HTTP/2 does not know (RFC 9113 section 8.2.2), and Host, which is `:authority` there. */
const NOT_IN_HTTP2: ReadonlySet<string> = new Set([
  "connection",
  "host",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
]);

const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
const NOT_IN_VALUES = /[^\t\x20-\x7e\x80-\xff]/;

/** A request as the raw list that `node:http2` takes: pseudo-headers first, then names in lower case, order and duplicates kept. */
export interface Http2Head {
  list: string[];
  /** True: trailers may come after the body, so that the last piece must not say that it is the end. */
  mayTrail: boolean;
}

/** Puts a request into HTTP/2; `authority` stands in for a Host that is missing. Throws where HTTP/2 cannot say it. */
export function http2Head(request: BackendRequest, scheme: "http" | "https", authority: string): Http2Head {
  const { headers, method, target } = request;
  const list = [":method", method, ":scheme", scheme, ":authority", authority, ":path", target];
  let hosts = 0;
  let grpc = false;
  let announced = false;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!.toLowerCase();
    const value = headers[i + 1]!;
    checkField(name, value);
    if (NOT_IN_HTTP2.has(name)) {
      if (name === "te" && saysTrailers(value)) list.push("te", "trailers");
      if (name === "host" && ++hosts === 1) list[5] = value;
      continue;
    }
    if (name === "trailer") announced = true;
    else if (name === "content-type" && isGrpc(value)) grpc = true;
    list.push(name, value);
  }
  if (hosts > 1) throw new TypeError("Cannot send request: several Hosts");
  checkField("path", target);
  // gRPC has no trailers in requests, and is worth the frame that looking for them costs.
  return { list, mayTrail: request.hasBody && (announced || !grpc) };
}

/** The header list of a message that came over HTTP/2, without pseudo-headers. */
export function withoutPseudo(raw: readonly string[]): HeaderList {
  const list: HeaderList = [];
  for (let i = 0; i < raw.length; i += 2) {
    if (raw[i]!.charCodeAt(0) !== 0x3a) list.push(raw[i]!, raw[i + 1]!);
  }
  return list;
}

/** Trailers as the object that `node:http2` takes: names in lower case, several values gathered. Throws as `http2Head` does. */
export function http2Trailers(list: HeaderList): Record<string, string | string[]> {
  const trailers = new Map<string, string[]>();
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i]!.toLowerCase();
    checkField(name, list[i + 1]!);
    const values = trailers.get(name);
    if (values === undefined) trailers.set(name, [list[i + 1]!]);
    else values.push(list[i + 1]!);
  }
  return Object.fromEntries(
    [...trailers].map(([name, values]) => [name, values.length === 1 ? values[0]! : values]),
  );
}

/** True for content types of gRPC proper; gRPC-Web (`application/grpc-web`) was made for HTTP/1.1 and goes that way. */
export function isGrpc(contentType: string): boolean {
  if (contentType.length < 16 || contentType.slice(0, 16).toLowerCase() !== "application/grpc") return false;
  const next = contentType[16];
  return next === undefined || next === "+" || next === ";" || next === " ";
}

/** True where a TE says that trailers are welcome. */
export function saysTrailers(te: string): boolean {
  return te === "trailers" || te.split(",").some((coding) => coding.trim().toLowerCase() === "trailers");
}

/** `node:http2` sends whatever it is given. */
function checkField(name: string, value: string): void {
  if (!TOKEN.test(name) || NOT_IN_VALUES.test(value)) {
    throw new TypeError("Cannot send header: not well-formed");
  }
}
