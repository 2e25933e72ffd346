import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import type { Hono } from "hono";
import type { AdminEnv } from "./deps.ts";
import { AdminListenError } from "./errors.ts";

/** Milliseconds that a closing listener gives to requests that are being answered. */
export const CLOSE_GRACE_MS = 1_000;

/** A listener that runs. */
export interface AdminServer {
  /** E.g. `http://127.0.0.1:9180`, with the port that it got. */
  url: string;
  port: number;
  /** Stops listening and closes every connection; those with a request in hand within {@linkcode CLOSE_GRACE_MS}. */
  close(): Promise<void>;
}

/** Serves the admin application on plain HTTP. Throws `admin_listen_failed`. Port 0: any free one. */
export async function serveAdmin(
  app: Hono<AdminEnv>,
  { host, port }: { host: string; port: number },
): Promise<AdminServer> {
  const server = createAdaptorServer({
    fetch: app.fetch,
    overrideGlobalObjects: false,
    createServer,
    serverOptions: { headersTimeout: 10_000, requestTimeout: 30_000, maxHeaderSize: 16_384 },
  }) as Server;
  try {
    await listen(server, host, port);
  } catch (cause) {
    throw new AdminListenError(host, port, cause);
  }
  const { port: given } = server.address() as AddressInfo;
  const name = host.includes(":") ? `[${host}]` : host;
  let closing: Promise<void> | null = null;
  return { url: `http://${name}:${given}`, port: given, close: () => closing ??= close(server) };
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const grace = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
  await closed;
  clearTimeout(grace);
}
