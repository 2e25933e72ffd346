/** The yardstick for gRPC: what one plain Node proxy costs, TLS in front and HTTP/2 in the clear behind. Runs as a worker. */
import { connect, createSecureServer, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { serveCalls } from "../stage/serve_calls.ts";

/** Where the hop leads, and what it shows. */
interface HopOptions {
  backendPort: number;
  cert: string;
  key: string;
}

function start({ backendPort, cert, key }: HopOptions): Promise<number> {
  const backend = connect(`http://127.0.0.1:${backendPort}`);
  const server = createSecureServer({ cert, key });
  server.on("stream", (user: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    const inner = backend.request(headers);
    let trailers: IncomingHttpHeaders = {};
    inner.on("response", (head) => user.respond(head, { waitForTrailers: true }));
    inner.on("trailers", (received) => trailers = received);
    user.on("wantTrailers", () => user.sendTrailers(trailers));
    user.on("error", () => inner.destroy());
    inner.on("error", () => user.destroy());
    user.pipe(inner).pipe(user);
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}

serveCalls({ start });
