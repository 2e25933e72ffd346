import { Buffer } from "node:buffer";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { type RawBackend, rawBackend, type RawRequest } from "./raw_backend.ts";
import { fields } from "./wire.ts";

/** A raw backend for all tests of a file: each test says how it answers. */
export interface StagedBackend extends AsyncDisposable {
  readonly raw: RawBackend;
  readonly origin: string;
  /** How requests are answered from now on; forgets those seen before. */
  answers(how: (request: RawRequest) => void): void;
  /** The last request. */
  readonly last: RawRequest;
}

/** Starts one; at first every request is answered 200. */
export async function stagedBackend(how: (request: RawRequest) => void): Promise<StagedBackend> {
  const after: (() => Promise<void>)[] = [];
  let answer = how;
  const raw = await rawBackend({ after: (fn) => void after.push(fn) }, (request) => answer(request));
  return {
    raw,
    origin: raw.origin,
    answers(next) {
      raw.requests.length = 0;
      answer = next;
    },
    get last() {
      const last = raw.requests.at(-1);
      if (last === undefined) throw new Error("Backend saw no request");
      return last;
    },
    async [Symbol.asyncDispose]() {
      for (const fn of after) await fn();
    },
  };
}

/** Request line and header list of a raw request. */
export function readHead(head: string): { line: string; headers: string[] } {
  const [line = "", ...lines] = head.trimEnd().split("\r\n");
  return { line, headers: fields(lines) };
}

/** A raw backend that is asked once a head has come, before any body, one request a connection. */
export interface HeadBackend extends AsyncDisposable {
  readonly origin: string;
  /** Called with each connection, its request's head and what came after it. */
  answer: (socket: Socket, head: string, rest: Buffer) => void;
}

/** Starts one. */
export async function headBackend(): Promise<HeadBackend> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    let seen = Buffer.alloc(0);
    const read = (bytes: Buffer) => {
      seen = Buffer.concat([seen, bytes]);
      const end = seen.indexOf("\r\n\r\n") + 4;
      if (end < 4) return;
      socket.off("data", read);
      backend.answer(socket, seen.toString("latin1", 0, end), seen.subarray(end));
    };
    socket.on("data", read);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const backend: HeadBackend = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answer: (socket) => void socket.destroy(),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return backend;
}
