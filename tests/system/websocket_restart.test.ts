import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { http2User } from "../support/http2_user.ts";
import { ingressStage } from "../support/ingress_stage.ts";
import { until } from "../support/until.ts";
import {
  closing,
  echo,
  openWebsocket,
  type WebSocket,
  websocketBackend,
  websocketOver,
} from "../support/websocket_peers.ts";

const HOST = "ws.example.test";
const RESTART = 1012;

/** Sends something there and back, so that the connection is in use at both ends. */
async function used(socket: WebSocket): Promise<void> {
  const back = once(socket, "message");
  socket.send("x");
  await back;
}

for (const who of ["broker", "connector"] as const) {
  test(`a ${who} that is stopped ends WebSockets between two frames, with code 1012, at once`, async () => {
    await using backend = await websocketBackend();
    backend.serve = echo;
    await using stage = await ingressStage();
    await stage.publish("ws", [`http://${HOST}`, "http://127.0.0.1"], backend.origin);
    const sockets: WebSocket[] = [];
    for (let i = 0; i < 5; i++) sockets.push(await openWebsocket(`ws://127.0.0.1:${stage.plainPort}/`));
    const session = await http2User({ port: stage.tlsPort, servername: HOST, ca: stage.ca });
    const stream = session.request({
      ":method": "CONNECT",
      ":protocol": "websocket",
      ":path": "/",
      ":scheme": "https",
      ":authority": HOST,
      "sec-websocket-version": "13",
    });
    stream.on("error", () => {});
    await once(stream, "response");
    sockets.push(websocketOver(stream));
    for (const socket of sockets) await used(socket);
    const ends = sockets.map((socket) => closing(socket));
    const stopped = stage[who].stop();
    assert.deepEqual((await Promise.all(ends)).map(({ code }) => code), sockets.map(() => RESTART));
    session.destroy();
    await stopped;
  });
}

test("a WebSocket that is within a frame gets the close frame after it", async () => {
  await using backend = await websocketBackend();
  await using stage = await ingressStage();
  await stage.publish("ws", [`http://${HOST}`, "http://127.0.0.1"], backend.origin);
  const accepted = new Promise<WebSocket>((resolve) => backend.serve = resolve);
  const client = await openWebsocket(`ws://127.0.0.1:${stage.plainPort}/`);
  const server = await accepted;
  const raw = (server as unknown as { _socket: { write(bytes: Uint8Array): void } })._socket;
  const message = once(client, "message");
  raw.write(Uint8Array.of(0x82, 4, 1, 2)); // The first half of a message of four bytes.
  const inner = (client as unknown as { _socket: NodeJS.EventEmitter })._socket;
  await once(inner, "data");
  const end = closing(client);
  const stopped = stage.broker.stop();
  await until("the broker stops", () => stage.brokerLog.some((line) => line.includes("stopping")));
  raw.write(Uint8Array.of(3, 4));
  assert.deepEqual([...(await message)[0] as Buffer], [1, 2, 3, 4]);
  assert.equal((await end).code, RESTART);
  await stopped;
});
