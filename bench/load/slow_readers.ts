import type { Socket } from "node:net";
import { expectOk, openSocket, requestHead } from "./raw_get.ts";

/** Clients that ask for a large response and read it one piece a second. */
export interface SlowReaderOptions {
  url: string;
  clients: number;
  /** Bytes each client reads a second. */
  bytesPerSecond: number;
}

let running: { sockets: Socket[]; timer: NodeJS.Timeout; closed: number } | null = null;

/**
 * Starts the clients; resolves when each has its first bytes, with the milliseconds that took for each. They go on
 * until `stopSlowReaders`.
 */
export async function slowReaders({ url, clients, bytesPerSecond }: SlowReaderOptions): Promise<number[]> {
  const started = performance.now();
  const target = new URL(url);
  const sockets: Socket[] = [];
  const state = {
    sockets,
    timer: setInterval(() => sockets.forEach((socket) => socket.resume()), 1000),
    closed: 0,
  };
  running = state;
  return await Promise.all(Array.from({ length: clients }, () => {
    const first = Promise.withResolvers<number>();
    let begun = false;
    const socket = openSocket(target, (bytes) => {
      if (!begun) {
        begun = true;
        try {
          expectOk(new TextDecoder("latin1").decode(bytes));
          first.resolve(performance.now() - started);
        } catch (error) {
          first.reject(error);
        }
      }
      // One buffer full, then nothing until the next second.
      return false;
    }, bytesPerSecond);
    socket.once("connect", () => socket.write(requestHead("GET", target)));
    socket.on("error", first.reject);
    socket.once("close", () => {
      state.closed++;
      first.reject(new Error("closed without an answer"));
    });
    sockets.push(socket);
    return first.promise;
  }));
}

/** Stops the clients; how many had lost their connection before. */
export function stopSlowReaders(): number {
  if (running === null) return 0;
  const { sockets, timer, closed } = running;
  running = null;
  clearInterval(timer);
  for (const socket of sockets) socket.destroy();
  return closed;
}
