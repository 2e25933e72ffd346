import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";

/** WebSockets that each send a message, wait for it to come back, and send the next. */
export interface WebsocketOptions {
  /** `http://...` */
  url: string;
  sockets: number;
  /** For how long, in milliseconds; 0: they are only opened, and stay until `dropWebsockets`. */
  forMs: number;
}

/** What came of it. */
export interface Echoes {
  messages: number;
  ms: number;
}

/** Length of each message, in bytes. */
export const MESSAGE_BYTES = 64;
/** Of a frame this short: kind and length. */
const HEADER_BYTES = 2;
/** Opened at a time. */
const AT_ONCE = 100;

/** One text message as clients send it: masked, with a mask of zeros. */
const MESSAGE = Buffer.concat([
  Buffer.from([0x81, 0x80 | MESSAGE_BYTES, 0, 0, 0, 0]),
  Buffer.alloc(MESSAGE_BYTES, "m"),
]);

const held: Socket[] = [];

/** Bytes and not a library: what is measured stands between this and the server. */
export async function websockets({ url, sockets: count, forMs }: WebsocketOptions): Promise<Echoes> {
  const target = new URL(url);
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - sockets.length) }, () => open(target));
    sockets.push(...await Promise.all(some));
  }
  if (forMs === 0) {
    held.push(...sockets);
    return { messages: 0, ms: 0 };
  }
  try {
    return await echoes(sockets, forMs);
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

/** Ends those that are held; how many had been lost before. */
export function dropWebsockets(): number {
  const lost = held.filter((socket) => socket.destroyed).length;
  for (const socket of held) socket.destroy();
  held.length = 0;
  return lost;
}

function echoes(sockets: readonly Socket[], forMs: number): Promise<Echoes> {
  return new Promise((resolve, reject) => {
    let messages = 0;
    const started = performance.now();
    setTimeout(() => resolve({ messages, ms: performance.now() - started }), forMs);
    for (const socket of sockets) {
      let got = 0;
      socket.on("data", (bytes: Buffer) => {
        got += bytes.length;
        if (got < HEADER_BYTES + MESSAGE_BYTES) return;
        if (got > HEADER_BYTES + MESSAGE_BYTES) return reject(new Error(`got ${got} bytes for one message`));
        got = 0;
        messages += 1;
        socket.write(MESSAGE);
      });
      socket.on("close", () => reject(new Error("a WebSocket was lost")));
      socket.write(MESSAGE);
    }
  });
}

function open(target: URL): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: target.hostname, port: Number(target.port), noDelay: true });
    let head = "";
    const read = (bytes: Buffer) => {
      head += bytes.toString("latin1");
      if (!head.includes("\r\n\r\n")) return;
      socket.off("data", read);
      if (head.startsWith("HTTP/1.1 101 ")) resolve(socket);
      else reject(new Error(`answered "${head.slice(0, 40)}"`));
    };
    socket.on("data", read);
    socket.on("error", reject);
    socket.write(
      `GET ${target.pathname} HTTP/1.1\r\nHost: ${target.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
  });
}
