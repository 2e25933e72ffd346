import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { IngressStage } from "./ingress_stage.ts";
import { peakRssBytes, resetPeakRss } from "./process_memory.ts";
import { closing, nextMessage, sendInParts, untilStuck, type WebSocket } from "./websocket_peers.ts";

const MEBIBYTE = 1024 * 1024;

/** The two ends of an open WebSocket, with broker and connector between them. */
export interface WebsocketPair {
  client: WebSocket;
  server: WebSocket;
}

/** Messages of these sizes, in bytes, come back from a server that echoes them. */
export async function echoes(client: WebSocket, sizes: readonly number[]): Promise<void> {
  for (const size of [0, 1, 125, 126, 65_535, 65_536, 131_072, MEBIBYTE, 5 * MEBIBYTE + 1, ...sizes]) {
    const bytes = randomBytes(size);
    client.send(bytes);
    assert.ok(bytes.equals(await nextMessage(client)), `${size} bytes`);
  }
}

/** Pings and pongs pass with what they carry, both ways. */
export async function pingsPass({ client, server }: WebsocketPair): Promise<void> {
  for (const [from, to] of [[client, server], [server, client]] as const) {
    const pinged = once(to, "ping");
    const ponged = once(from, "pong");
    from.ping("are you there");
    assert.equal(String((await pinged)[0]), "are you there");
    assert.equal(String((await ponged)[0]), "are you there");
  }
}

/** Close codes and reasons arrive, whoever closes. */
export async function closesTell(pair: () => Promise<WebsocketPair>): Promise<void> {
  for (const code of [1000, 1001, 1011, 3000, 4999]) {
    for (const side of ["client", "server"] as const) {
      const ends = await pair();
      const both = Promise.all([closing(ends.server), closing(ends.client)]);
      ends[side].close(code, `of the ${side}`);
      const told = { code, reason: `of the ${side}` };
      assert.deepEqual(await both, [told, told]);
    }
  }
}

/** A message of 100 MiB crosses each way; while its reader waits, no process between keeps more than a window of it. */
export async function heldBack({ client, server }: WebsocketPair, stage: IngressStage): Promise<void> {
  const message = randomBytes(100 * MEBIBYTE);
  const pids = [stage.broker.child.pid, stage.connector.child.pid];
  for (const [from, to] of [[client, server], [server, client]] as const) {
    const bases = pids.map((pid) => resetPeakRss(pid));
    to.pause();
    const arrives = nextMessage(to);
    const sending = sendInParts(from, message, MEBIBYTE / 8);
    await untilStuck(sending, () => stage.metric("sallyport_exchanges_in_flight"));
    assert.ok(sending.left < 40 * MEBIBYTE, `${sending.left} bytes have left the sender`);
    pids.forEach((pid, i) => {
      const grown = peakRssBytes(pid) - bases[i]!;
      assert.ok(grown < 50 * MEBIBYTE, `process ${i} grew by ${grown} bytes`);
    });
    to.resume();
    assert.ok(message.equals(await arrives));
  }
}
