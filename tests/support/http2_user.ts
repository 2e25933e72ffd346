import { once } from "node:events";
import { type ClientHttp2Session, connect } from "node:http2";
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2";

/** A whole HTTP/2 response, or how far it came. */
export interface Http2Response {
  status: number;
  headers: IncomingHttpHeaders;
  rawHeaders: string[];
  informational: IncomingHttpHeaders[];
  trailers: IncomingHttpHeaders;
  body: string;
  /** `end`: whole; else the reset's code. */
  end: "end" | number;
}

/** Deno's client fails its first session in a process, in one way or another: that one is for nothing. */
let warm = !("Deno" in globalThis);

/** A user's HTTP/2 session on a TLS connection of its own. */
export async function http2User(
  options: { host?: string; port: number; servername: string; ca: string },
): Promise<ClientHttp2Session> {
  const { host = "127.0.0.1", port, servername, ca } = options;
  const session = connect(`https://${host.includes(":") ? `[${host}]` : host}:${port}`, {
    servername,
    ca,
    // Tests send heads larger than brokers take.
    maxSendHeaderBlockLength: 1024 * 1024,
  });
  session.on("error", () => {});
  await once(session, "connect");
  if (!warm) {
    warm = true;
    await request2(session, { ":path": "/", ":authority": "nobody.example.test" }).catch(() => {});
    session.destroy();
    return await http2User(options);
  }
  return session;
}

/** One request on the session. */
export async function request2(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders | readonly string[],
  body?: string | Uint8Array,
): Promise<Http2Response> {
  const stream = session.request(headers as OutgoingHttpHeaders, { endStream: body === undefined });
  const response: Http2Response = {
    status: 0,
    headers: {},
    rawHeaders: [],
    informational: [],
    trailers: {},
    body: "",
    end: "end",
  };
  stream.on("headers", (head: IncomingHttpHeaders) => response.informational.push(head));
  stream.on("response", (head, _flags, raw: string[]) => {
    response.status = Number(head[":status"]);
    response.headers = head;
    response.rawHeaders = raw;
  });
  stream.on("trailers", (trailers) => response.trailers = trailers);
  stream.setEncoding("latin1").on("data", (text: string) => response.body += text);
  let ended = false;
  stream.on("end", () => ended = !stream.aborted);
  stream.on("error", () => {});
  if (body !== undefined) stream.end(body);
  if (!stream.closed || !stream.destroyed) await once(stream, "close").catch(() => {});
  if (!ended || stream.rstCode !== 0) response.end = stream.rstCode ?? -1;
  return response;
}
