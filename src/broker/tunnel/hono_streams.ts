import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Hono } from "hono";

/** What a Hono handler finds in `c.env` when it serves a raw HTTP/2 stream. */
export interface StreamEnv {
  Bindings: { stream: ServerHttp2Stream };
}

/** A handler returns this once it has taken the stream over. */
export const TAKEN = new Response(null, { status: 200 });

/**
 * Serves HTTP/2 streams with a Hono application without the compatibility layer: it sees method, path and headers of
 * each stream, and answers it or takes it over. Request bodies are the handlers' to read from the stream.
 */
export function serveStreams(
  app: Hono<StreamEnv>,
): (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void {
  return (stream, headers) => {
    stream.on("error", () => {}); // Whoever takes the stream over listens too; a refused one has nobody else.
    if (stream.destroyed) return; // Its session was ended for one that came before.
    // Whatever a peer asks for, and however it leaves: it costs its stream and nothing else.
    serve(app, stream, headers).catch((error: Error) => stream.destroy(error));
  };
}

async function serve(
  app: Hono<StreamEnv>,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
): Promise<void> {
  // Throws for CONNECT, TRACE and what is no method or no path.
  const request = new Request(`https://tunnel${String(headers[":path"])}`, {
    method: String(headers[":method"]),
  });
  const response = await app.fetch(request, { stream });
  if (response === TAKEN) return;
  const body = Buffer.from(await response.arrayBuffer());
  if (stream.closed || stream.destroyed || stream.headersSent) return void stream.resume();
  const type = response.headers.get("content-type") ?? "text/plain";
  stream.respond({ ":status": response.status, "content-type": type, "content-length": body.length });
  stream.end(body);
}
