import type { Buffer } from "node:buffer";
import { once } from "node:events";
import type { IncomingHttpHeaders } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import { errorResponse } from "../../src/broker/ingress/error_page.ts";
import type { IngressHandlers } from "../../src/broker/listener/handlers.ts";
import { clientAddressOf } from "../../src/broker/listener/client_address.ts";

/** Handlers that answer with what they were given: `<protocol> <method> <target> <client address>`. */
export function echoHandlers(): IngressHandlers {
  return {
    onRequest(req, res) {
      req.resume();
      res.end(`1.1 ${req.method} ${req.url} ${clientAddressOf(req.socket).address}`);
    },
    onCheckContinue(_req, res) {
      res.writeHead(417);
      res.end();
    },
    onUpgrade(req, socket, head) {
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: ${req.headers.upgrade}\r\n\r\n`,
      );
      socket.write(head);
      socket.pipe(socket);
      socket.on("error", () => {});
    },
    onStream(stream, headers) {
      stream.on("error", () => {});
      stream.respond({ ":status": 200 });
      const { address } = clientAddressOf(stream.session!.socket);
      stream.end(`2 ${headers[":method"]} ${headers[":path"]} ${headers[":protocol"] ?? ""}${address}`);
    },
    refuse: (code) => errorResponse(code, { requestId: "r" }),
  };
}

/** Everything a socket receives until it is closed; errors of the connection count as its end. */
export async function received(socket: Socket): Promise<string> {
  let text = "";
  socket.on("data", (chunk: Buffer) => text += chunk.toString("latin1"));
  socket.on("error", () => {});
  if (!socket.closed) await once(socket, "close");
  return text;
}

/** Sends bytes over plain TCP and gives back all that comes until the other side closes. */
export async function exchangeRaw(port: number, ...pieces: (string | Uint8Array)[]): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  for (const piece of pieces) {
    socket.write(piece as string);
    // One packet a piece, as far as that can be asked for.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return await received(socket);
}

/** A finished TLS handshake, or its error. */
export async function handshake(options: ConnectionOptions): Promise<TLSSocket> {
  const socket = connectTls({ host: "127.0.0.1", ...options });
  await once(socket, "secureConnect");
  socket.on("error", () => {});
  return socket;
}

/** One HTTP/1.1 request on an open connection that is closed after it; gives the whole response. */
export async function request1(socket: Socket, target: string, ...lines: string[]): Promise<string> {
  socket.write(
    [`GET ${target} HTTP/1.1`, "Host: a.test", "Connection: close", ...lines, "", ""].join("\r\n"),
  );
  return await received(socket);
}

/** One HTTP/2 request on a session of its own. */
export async function request2(
  socket: TLSSocket,
  headers: IncomingHttpHeaders & { [name: string]: unknown },
): Promise<{ status: number; body: string }> {
  const session = connectHttp2("https://a.test", { createConnection: () => socket });
  session.on("error", () => {});
  try {
    if (headers[":method"] === "CONNECT") await once(session, "remoteSettings");
    const stream = session.request(headers as never);
    let body = "";
    stream.setEncoding("latin1").on("data", (chunk: string) => body += chunk);
    const [head] = await once(stream, "response") as [Record<string, unknown>];
    if (!stream.closed) await once(stream, "close");
    return { status: Number(head[":status"]), body };
  } finally {
    session.destroy();
  }
}
