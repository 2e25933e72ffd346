/** Thousands of WebSockets on one tunnel: each has its own echo, and what an idle one costs is bounded. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type IngressStage, ingressStage } from "../support/ingress_stage.ts";
import { rssBytes } from "../support/process_memory.ts";
import {
  nextMessage,
  openWebsocket,
  type WebsocketBackend,
  websocketBackend,
} from "../support/websocket_peers.ts";
import type { WebSocket } from "../support/websocket_peers.ts";

const HOST = "ws.example.test";
const COUNT = 2_000;
/** Connecting so many at a time: a listener's queue is not what is tested. */
const AT_ONCE = 100;
/** Measured: 20 KB in the broker, 30 KB in the connector; a heap that has not been collected is in it. */
const MOST_BYTES = 60_000;
/** Measured: 54 to 58 KB, of which TLS alone takes 40 to 47 in any program on Node. */
const MOST_BYTES_TLS = 75_000;

let stage: IngressStage;
let backend: WebsocketBackend;

before(async () => {
  stage = await ingressStage();
  backend = await websocketBackend();
  await stage.publish("ws", ["http://127.0.0.1", `https://${HOST}`], backend.origin);
});
after(async () => {
  await stage?.[Symbol.asyncDispose]();
  await backend?.[Symbol.asyncDispose]();
});

const plain = () => openWebsocket(`ws://127.0.0.1:${stage.plainPort}/`);
const tls = () => {
  const options = { servername: HOST, ca: stage.ca, headers: { Host: HOST } };
  return openWebsocket(`wss://127.0.0.1:${stage.tlsPort}/`, [], options);
};

/** `count` open ones. */
async function openAll(count: number, open = plain): Promise<WebSocket[]> {
  const all: WebSocket[] = [];
  while (all.length < count) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - all.length) }, open);
    all.push(...await Promise.all(some));
  }
  return all;
}

test(`${COUNT} WebSockets on one tunnel: each gets its own echo, idle ones stay, their memory is bounded`, async () => {
  const warmUp = await openAll(AT_ONCE);
  for (const socket of warmUp) socket.terminate();
  await stage.lanesIdle();
  const pids = [stage.broker.child.pid, stage.connector.child.pid];
  const bases = pids.map((pid) => rssBytes(pid));

  const sockets = await openAll(COUNT);
  assert.equal(await stage.metric('sallyport_lanes{state="busy"}'), COUNT);
  assert.equal(backend.open.size, COUNT);
  pids.forEach((pid, i) => {
    const each = (rssBytes(pid) - bases[i]!) / COUNT;
    assert.ok(each < MOST_BYTES, `${["broker", "connector"][i]}: ${Math.round(each)} bytes for each`);
  });
  for (let round = 0; round < 3; round++) {
    await Promise.all(sockets.map(async (socket, i) => {
      const reply = nextMessage(socket);
      socket.send(`${round} of ${i}`);
      assert.equal(String(await reply), `${round} of ${i}`);
    }));
  }
  assert.ok(sockets.every((socket) => socket.readyState === socket.OPEN));
  for (const socket of sockets) socket.close();
  await stage.lanesIdle();
});

test(`${COUNT} more over TLS, beside half as many: what an idle one costs is bounded there, too`, async () => {
  const before = await openAll(COUNT / 2, tls);
  const base = rssBytes(stage.broker.child.pid);
  const sockets = await openAll(COUNT, tls);
  const each = (rssBytes(stage.broker.child.pid) - base) / COUNT;
  assert.ok(each < MOST_BYTES_TLS, `${Math.round(each)} bytes for each`);
  for (const socket of [...before, ...sockets]) socket.terminate();
});
