import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { samplePage } from "./sample_page.ts";

/** The sample application, running. */
export interface Sample {
  url: string;
  /** Stops at once, open streams included. */
  close(): Promise<void>;
}

/** A form longer than this, in bytes, is refused. */
const FORM_BYTES = 64 * 1024;
const LINES = 12;
const LINE_MS = 250;
const TICK_MS = 1_000;

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const routes: Record<string, Handler> = {
  "/": page,
  "/echo": echo,
  "/stream": stream,
  "/clock": clock,
};

/** Starts a small web application on a free loopback port: a page, a form, a stream and a clock of server-sent events. */
export async function startSample(): Promise<Sample> {
  const server = createServer((request, response) => {
    const path = (request.url ?? "/").split("?", 1)[0];
    (routes[path] ?? notFound)(request, response);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function page(request: IncomingMessage, response: ServerResponse): void {
  response.setHeader("set-cookie", `visits=${visits(request) + 1}; Path=/; HttpOnly; SameSite=Lax`);
  html(response, 200, samplePage(request, { visits: visits(request) }));
}

function visits(request: IncomingMessage): number {
  return Number(/(?:^|; )visits=(\d{1,6})(?:;|$)/.exec(request.headers.cookie ?? "")?.[1] ?? 0);
}

function echo(request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = [];
  let size = 0;
  request.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size <= FORM_BYTES) chunks.push(chunk);
  });
  request.on("end", () => {
    if (size > FORM_BYTES) return text(response, 413, `Longer than ${FORM_BYTES} bytes\n`);
    const form = new URLSearchParams(Buffer.concat(chunks).toString("utf8"));
    html(response, 200, samplePage(request, { visits: visits(request), form: [...form] }));
  });
}

function stream(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" });
  let line = 0;
  const timer = setInterval(() => {
    response.write(`line ${++line} of ${LINES}, ${new Date().toISOString()}\n`);
    if (line === LINES) response.end();
  }, LINE_MS);
  response.once("close", () => clearInterval(timer));
}

function clock(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  const tick = () => void response.write(`data: ${new Date().toISOString()}\n\n`);
  const timer = setInterval(tick, TICK_MS);
  response.once("close", () => clearInterval(timer));
  tick();
}

function notFound(request: IncomingMessage, response: ServerResponse): void {
  request.resume();
  text(response, 404, "The sample application has no such page.\n");
}

function html(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { "content-type": "text/html; charset=utf-8", "cache-control": "no-store" });
  response.end(body);
}

function text(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8" });
  response.end(body);
}
