/**
 * The yardstick: what one plain Node reverse proxy costs. `node:http` in front, undici behind, no tunnel, no features. Upgraded
 * connections are two sockets, piped into one another.
 */
import { createServer } from "node:http";
import { connect } from "node:net";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { Pool } from "undici";

const pool = new Pool(process.argv[2], { allowH2: false, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 });

const server = createServer((request, response) => {
  const hasBody = "content-length" in request.headers || "transfer-encoding" in request.headers;
  pool.dispatch({
    method: request.method as "GET",
    path: request.url!,
    headers: request.rawHeaders,
    body: hasBody ? request : null,
  }, {
    onRequestStart() {},
    onResponseStart(controller, status) {
      const headers = controller.rawHeaders as Buffer[];
      response.writeHead(status, headers.map((header) => header.toString("latin1")));
    },
    onResponseData(controller, chunk) {
      if (response.write(chunk)) return;
      controller.pause();
      response.once("drain", () => controller.resume());
    },
    onResponseEnd: () => void response.end(),
    onResponseError: () => void response.destroy(),
  });
});

const backend = new URL(process.argv[2]);

server.on("upgrade", (request, user, first) => {
  const socket = connect({ host: backend.hostname, port: Number(backend.port), noDelay: true });
  let head = `${request.method} ${request.url} HTTP/1.1\r\n`;
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    head += `${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}\r\n`;
  }
  socket.write(`${head}\r\n`, "latin1");
  socket.write(first);
  socket.pipe(user).pipe(socket);
  socket.on("error", () => user.destroy());
  user.on("error", () => socket.destroy());
});

server.requestTimeout = 0;
server.listen(0, "127.0.0.1", 4096, () => {
  console.log(JSON.stringify({ ready: true, port: (server.address() as AddressInfo).port }));
});
