import { once } from "node:events";
import type { Socket } from "node:net";
import { expectOk, openSocket, requestHead } from "./raw_get.ts";

/** Many clients, connected beforehand, that ask at the same moment. */
export interface BurstOptions {
  url: string;
  clients: number;
}

/** Milliseconds from asking to each client's first byte. */
export async function burst({ url, clients }: BurstOptions): Promise<number[]> {
  const target = new URL(url);
  const request = requestHead("GET", target);
  let started = 0;
  const sockets: Socket[] = [];
  const firstBytes = Array.from({ length: clients }, () => {
    const first = Promise.withResolvers<number>();
    const socket = openSocket(target, (bytes) => {
      const ms = performance.now() - started;
      try {
        expectOk(new TextDecoder("latin1").decode(bytes));
        first.resolve(ms);
      } catch (error) {
        first.reject(error);
      }
      return true;
    }, 4096);
    socket.once("error", first.reject);
    socket.once("close", () => first.reject(new Error("closed without an answer")));
    sockets.push(socket);
    return first.promise;
  });
  await Promise.all(sockets.map((socket) => once(socket, "connect")));
  started = performance.now();
  for (const socket of sockets) socket.write(request);
  try {
    return await Promise.all(firstBytes);
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}
