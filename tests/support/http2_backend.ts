import { EventEmitter, once } from "node:events";
import {
  createSecureServer,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from "node:http2";
import type { AddressInfo } from "node:net";
import type { ServerIdentity } from "./backend_certificates.ts";

/** A request as an HTTP/2 backend sees it. */
export interface StreamRequest {
  stream: ServerHttp2Stream;
  headers: IncomingHttpHeaders;
  /** Names and values in turn, as they came. */
  raw: readonly string[];
}

/** An HTTP/2 server of this process, in the clear or over TLS; each test says how it answers. */
export class Http2Backend extends EventEmitter<{ request: [StreamRequest] }> implements AsyncDisposable {
  readonly sessions = new Set<ServerHttp2Session>();
  /** Sessions that there ever were. */
  sessionCount = 0;
  origin = "";
  answer: (request: StreamRequest) => void = ({ stream }) => {
    stream.respond({ ":status": 200 });
    stream.end("ok");
  };
  #close: () => Promise<void> = () => Promise.resolve();

  static async start(options: ServerOptions & { identity?: ServerIdentity } = {}): Promise<Http2Backend> {
    const { identity, ...rest } = options;
    const backend = new Http2Backend();
    const settings = { strictSingleValueFields: false, ...rest };
    const server = identity === undefined
      ? createServer(settings)
      : createSecureServer({ ...settings, ...identity });
    server.on("session", (session: ServerHttp2Session) => {
      backend.sessions.add(session);
      backend.sessionCount++;
      session.on("error", () => {});
      session.on("close", () => backend.sessions.delete(session));
    });
    server.on(
      "stream",
      ((stream: ServerHttp2Stream, headers: IncomingHttpHeaders, _flags: number, raw: string[]) => {
        stream.on("error", () => {});
        const request = { stream, headers, raw };
        backend.answer(request);
        backend.emit("request", request);
      }) as never,
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    backend.origin = `${identity === undefined ? "http" : "https"}://127.0.0.1:${port}`;
    backend.#close = async () => {
      for (const session of backend.sessions) session.destroy();
      await new Promise((resolve) => server.close(resolve));
    };
    return backend;
  }

  /** The next request. */
  async next(): Promise<StreamRequest> {
    const [request] = await once(this, "request");
    return request;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }
}

/** Reads a request's body to its end. */
export async function bodyOf(stream: ServerHttp2Stream): Promise<string> {
  let body = "";
  for await (const chunk of stream.setEncoding("latin1")) body += chunk;
  return body;
}
