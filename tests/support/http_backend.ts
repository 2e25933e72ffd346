import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A real HTTP/1.1 backend: each path has its answer. */
export interface HttpBackend extends AsyncDisposable {
  readonly origin: string;
  readonly port: number;
  /** Answers by path, without the query. */
  readonly routes: Map<string, (req: IncomingMessage, res: ServerResponse) => void>;
}

/** Starts one on the loopback; what has no answer gets 404. */
export async function httpBackend(): Promise<HttpBackend> {
  const routes: HttpBackend["routes"] = new Map();
  const server = createServer((req, res) => {
    const answer = routes.get(req.url!.split("?")[0]!);
    if (answer === undefined) res.writeHead(404).end("nothing here");
    else answer(req, res);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    port,
    routes,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
