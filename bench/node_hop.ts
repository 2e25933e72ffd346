/** The yardstick: what one plain Node reverse proxy costs. `node:http` in front, undici behind, no tunnel, no features. */
import { createServer } from "node:http";
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

server.requestTimeout = 0;
server.listen(0, "127.0.0.1", 4096, () => {
  console.log(JSON.stringify({ ready: true, port: (server.address() as AddressInfo).port }));
});
