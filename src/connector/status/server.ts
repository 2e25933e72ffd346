import { chmod, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { once } from "node:events";
import type { Duplex } from "node:stream";
import { StatusError } from "./errors.ts";
import { successorOf } from "./takeover.ts";

/** Bytes of the longest socket path that every system accepts (sun_path in unix(7) has 108 with its end, macOS 104). */
const MAX_PATH_BYTES = 103;

/**
 * Answers `GET /` and `GET /apps` on a local socket (0600) with `snapshot(path)` as JSON, until disposed, and hands over the connection of a
 * process that wants to take over. Only the holder of the state
 * folder's lock may call it: a socket left by a killed process is replaced. Throws `status_unavailable`.
 */
export async function serveStatus(
  path: string,
  snapshot: (question: string) => unknown,
  onTakeover?: (instanceId: string, socket: Duplex) => void,
): Promise<AsyncDisposable> {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
    throw new StatusError(
      "status_unavailable",
      `Cannot offer status at "${path}": the path is too long for a socket`,
    );
  }
  const server = createServer({ requestTimeout: 5_000, headersTimeout: 5_000 }, (request, response) => {
    const [status, body] = answer(request, snapshot);
    response.writeHead(status, { "content-type": "application/json", connection: "close" });
    response.end(body);
  });
  server.maxConnections = 16;
  server.on("upgrade", (request: IncomingMessage, socket: Duplex) => {
    const successor = successorOf(request);
    socket.on("error", () => {});
    if (successor === null || onTakeover === undefined) {
      socket.end("HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n");
    } else onTakeover(successor, socket);
  });
  try {
    await remove(path);
    server.listen(path);
    await once(server, "listening");
    if (process.platform !== "win32") await chmod(path, 0o600);
  } catch (cause) {
    server.close();
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new StatusError("status_unavailable", `Cannot offer status at "${path}": ${reason}`, { cause });
  }
  // It must never keep the process alive, nor end it.
  server.unref();
  server.on("error", () => {});
  return { [Symbol.asyncDispose]: () => stop(server, path) };
}

/** A status that cannot be told must not end the connector. */
function answer(
  { method, url }: IncomingMessage,
  snapshot: (question: string) => unknown,
): [status: number, body: string] {
  if (method !== "GET" || (url !== "/" && url !== "/apps")) return [404, "{}"];
  try {
    return [200, JSON.stringify(snapshot(url))];
  } catch (error) {
    return [500, JSON.stringify({ error: String(error) })];
  }
}

async function stop(server: Server, path: string): Promise<void> {
  // Not awaited: the connection of a successor stays open for longer.
  server.close();
  server.closeAllConnections();
  await remove(path);
}

async function remove(path: string): Promise<void> {
  if (process.platform !== "win32") await rm(path, { force: true });
}
