import type { Buffer } from "node:buffer";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { type ClientOptions, WebSocket, WebSocketServer } from "ws";

export type { WebSocket };

/** How a message or handshake of any size is taken: the peers must not be what sets a limit. */
const UNLIMITED = { maxPayload: 0, maxBufferedChunks: 0, maxFragments: 0 };

/** A real WebSocket server. It echoes what it gets as it got it, unless a test does otherwise; requests get a page. */
export interface WebsocketBackend extends AsyncDisposable {
  /** `http://127.0.0.1:...` */
  readonly origin: string;
  /** Headers that its next handshakes have beside their own. */
  headers: string[];
  /** Takes a handshake over instead of accepting it, where it is set. */
  refuse: ((request: IncomingMessage, socket: Duplex) => void) | null;
  /** What becomes of each connection. */
  serve: (socket: WebSocket, request: IncomingMessage) => void;
  /** Connections open now. */
  readonly open: ReadonlySet<WebSocket>;
}

/** Sends every message back. */
export function echo(socket: WebSocket): void {
  socket.on("message", (data, binary) => socket.send(data, { binary }));
}

/** Starts one. It speaks subprotocols `chat` and `super`, and compresses what is longer than `threshold`. */
export async function websocketBackend(): Promise<WebsocketBackend> {
  const server = createServer({ noDelay: true }, (_request, response) => {
    response.setHeader("content-type", "text/html").end("<title>WebSockets</title>");
  });
  const sockets = new WebSocketServer({
    noServer: true,
    ...UNLIMITED,
    perMessageDeflate: { threshold: 64 },
    handleProtocols: (offered) => offered.has("super") ? "super" : false,
  });
  sockets.on("headers", (headers) => headers.push(...backend.headers));
  const connections = new Set<Duplex>();
  server.on("connection", (socket: Duplex) => {
    connections.add(socket);
    socket.on("close", () => connections.delete(socket));
  });
  server.on("upgrade", (request, socket, head) => {
    socket.on("error", () => {});
    if (backend.refuse !== null) return backend.refuse(request, socket);
    sockets.handleUpgrade(request, socket, head, (accepted) => {
      accepted.on("error", () => {});
      backend.serve(accepted, request);
    });
  });
  server.listen(0, "127.0.0.1", 4096);
  await once(server, "listening");
  const backend: WebsocketBackend = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    headers: [],
    refuse: null,
    serve: echo,
    open: sockets.clients,
    async [Symbol.asyncDispose]() {
      // Of all: the server does not know those any more that were upgraded, or refused it.
      for (const socket of connections) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return backend;
}

/** A real WebSocket client, connecting. */
export function dialWebsocket(url: string, protocols: string[] = [], options: ClientOptions = {}): WebSocket {
  const socket = new WebSocket(url, protocols, { perMessageDeflate: false, ...UNLIMITED, ...options });
  socket.on("error", () => {}); // `close` follows.
  return socket;
}

/** The same, connected. Rejects when it is not. */
export async function openWebsocket(
  url: string,
  protocols: string[] = [],
  options: ClientOptions = {},
): Promise<WebSocket> {
  const socket = dialWebsocket(url, protocols, options);
  await once(socket, "open");
  return socket;
}

/** The client on a connection that is open already, such as a stream of HTTP/2. */
export function websocketOver(connection: Duplex): WebSocket {
  // Without an address it takes a connection as a server does; only that is not told in the types.
  // deno-lint-ignore no-explicit-any
  const socket = new WebSocket(null as any, undefined, { autoPong: true }) as any;
  socket._isServer = false;
  socket._closeTimeout = 30_000;
  socket.setSocket(connection, new Uint8Array(0), { ...UNLIMITED, allowSynchronousEvents: true });
  socket.on("error", () => {});
  return socket;
}

/** A message on its way in fragments. */
export interface Sending {
  /** Bytes that have left the sender's process. */
  left: number;
}

/** Sends one message in fragments of `size` bytes, each when the one before it has left. */
export function sendInParts(socket: WebSocket, message: Buffer, size: number): Sending {
  const sending = { left: 0 };
  const next = () => {
    const end = Math.min(sending.left + size, message.length);
    socket.send(message.subarray(sending.left, end), { fin: end === message.length }, (error) => {
      sending.left = end;
      if (!error && end < message.length) next();
    });
  };
  next();
  return sending;
}

/** Resolves when no more leaves while `pass` is done again and again. */
export async function untilStuck(sending: Sending, pass: () => Promise<unknown>): Promise<void> {
  for (let before = -1; before !== sending.left;) {
    before = sending.left;
    for (let i = 0; i < 50; i++) await pass();
  }
}

/** The next message, as bytes. */
export async function nextMessage(socket: WebSocket): Promise<Buffer> {
  const [data] = await once(socket, "message") as [Buffer];
  return data;
}

/** How a connection was closed. */
export async function closing(socket: WebSocket): Promise<{ code: number; reason: string }> {
  const [code, reason] = await once(socket, "close") as [number, Buffer];
  return { code, reason: reason.toString() };
}
