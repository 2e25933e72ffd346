import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";

/** One request as its bytes arrived, latin1. */
export interface RawRequest {
  socket: Socket;
  /** Number of the connection, from 0. */
  connection: number;
  head: string;
  /** As framed on the wire, when its end was recognised; else what came with the head. */
  body: string;
}

/** A TCP server that speaks no HTTP of its own: tests look at the bytes it got and write the bytes it answers. */
export interface RawBackend {
  origin: string;
  port: number;
  connections: Socket[];
  requests: RawRequest[];
  /** By connection: bytes that came after the last complete request. */
  pending: string[];
}

/** The server is closed, with its connections, when the test ends. `answer` runs for each complete request. */
export async function rawBackend(
  t: { after(fn: () => Promise<void>): void },
  answer: (request: RawRequest) => void,
): Promise<RawBackend> {
  const connections: Socket[] = [];
  const requests: RawRequest[] = [];
  const pending: string[] = [];
  const server = createServer((socket) => {
    const connection = connections.push(socket) - 1;
    let seen = "";
    socket.on("error", () => {});
    socket.on("data", (bytes: Buffer) => {
      seen += bytes.toString("latin1");
      for (let size = requestSize(seen); size > 0; size = requestSize(seen)) {
        const end = seen.indexOf("\r\n\r\n") + 4;
        const request = { socket, connection, head: seen.slice(0, end), body: seen.slice(end, size) };
        seen = seen.slice(size);
        requests.push(request);
        answer(request);
      }
      pending[connection] = seen;
    });
  });
  await listen(t, server, connections);
  const { port } = server.address() as AddressInfo;
  return { origin: `http://127.0.0.1:${port}`, port, connections, requests, pending };
}

/** Listens on a free loopback port until the test ends. */
export async function listen(
  t: { after(fn: () => Promise<void>): void },
  server: Server,
  connections: Socket[],
): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const socket of connections) socket.destroy();
    return new Promise((resolve) => server.close(() => resolve()));
  });
  return (server.address() as AddressInfo).port;
}

/** An answer with a length, to be followed by others on the same connection. */
export function answerOk(body = "ok", headers = ""): string {
  return `HTTP/1.1 200 OK\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`;
}

/** Bytes of the first request in `seen`, 0 while it is not complete. */
function requestSize(seen: string): number {
  const end = seen.indexOf("\r\n\r\n");
  if (end === -1) return 0;
  const head = seen.slice(0, end);
  if (/^expect:/im.test(head)) return end + 4;
  if (/^transfer-encoding:/im.test(head)) {
    return chunkedSize(seen, end + 4);
  }
  const size = end + 4 + Number(/^content-length: *([0-9]+)/im.exec(head)?.[1] ?? 0);
  return seen.length >= size ? size : 0;
}

/** Where the chunked body that begins at `from` ends, 0 while it is not complete. */
function chunkedSize(seen: string, from: number): number {
  for (let at = from;;) {
    const line = seen.indexOf("\r\n", at);
    if (line === -1) return 0;
    const size = parseInt(seen.slice(at, line), 16);
    if (size === 0) {
      const last = seen.indexOf("\r\n\r\n", line);
      return last === -1 ? 0 : last + 4;
    }
    at = line + 2 + size + 2;
  }
}
