import { Agent, type IncomingMessage, request, type RequestOptions } from "node:http";
import { connect, type Socket } from "node:net";

/** A response, read whole. */
export interface UserAnswer {
  status: number;
  headers: IncomingMessage["headers"];
  body: string;
}

/** Users of the plain ingress, with connections that are kept; close it at the end. */
export class Users implements Disposable {
  readonly #agent = new Agent({
    keepAlive: true,
    maxSockets: Number.POSITIVE_INFINITY,
    maxFreeSockets: 1_024,
  });
  readonly #sockets = new Set<Socket>();

  /** One request, its response read whole. */
  get(url: string, options: RequestOptions = {}): Promise<UserAnswer> {
    return new Promise((resolve, reject) => {
      const sent = request(url, { agent: this.#agent, ...options }, (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => body += chunk);
        response.on(
          "end",
          () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        );
        response.on("error", reject);
      });
      sent.on("error", reject);
      sent.end();
    });
  }

  /** A connection of its own on which `head` was written; paused, its bytes are the test's to read. */
  raw(url: string, head: string): Socket {
    const { hostname, port, host } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port) });
    this.#sockets.add(socket);
    socket.pause();
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
    socket.write(head.replace("HOST", host));
    return socket;
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Head of a request without a body, for `Users.raw`. */
export function rawGet(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: HOST\r\n\r\n`;
}

/** Head of a request whose chunked body follows. */
export function rawPost(path: string): string {
  return `POST ${path} HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n`;
}
