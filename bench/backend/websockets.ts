/** A WebSocket server that sends every message back. Runs as a worker: see `../stage/websocket_backend.ts`. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import { serveCalls } from "../stage/serve_calls.ts";

async function listen(): Promise<number> {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, backlog: 4096, perMessageDeflate: false });
  server.on("connection", (socket) => {
    socket.on("message", (data, binary) => socket.send(data, { binary }));
    socket.on("error", () => {});
  });
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

serveCalls({ listen });
