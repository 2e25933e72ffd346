/** Connections to the tunnel name that never finish their handshake, and a connector from elsewhere. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import { TunnelStage } from "../support/tunnel_stage.ts";
import { until } from "../support/until.ts";

const AT_FIRST = 300;
const PER_SECOND = 200;

/** The first flight of a connector's handshake. */
async function clientHello(servername: string): Promise<Buffer> {
  const wire = new Duplex({ read() {}, write() {} });
  const written = new Promise<Buffer>((resolve) => wire._write = (chunk: Buffer) => resolve(chunk));
  const client = connectTls({ socket: wire, servername, ALPNProtocols: ["h2"] });
  client.on("error", () => {});
  const hello = await written;
  client.destroy();
  return hello;
}

/** Opens connections that say hello and nothing more. */
class Silence implements Disposable {
  readonly #sockets = new Set<Socket>();
  readonly #port: number;
  readonly #hello: Buffer;
  #timer: NodeJS.Timeout | undefined;

  constructor(port: number, hello: Buffer) {
    this.#port = port;
    this.#hello = hello;
  }

  async one(): Promise<void> {
    const socket = connect({ host: "127.0.0.1", port: this.#port, localAddress: "127.0.0.2" });
    this.#sockets.add(socket);
    socket.on("error", () => {}).on("close", () => this.#sockets.delete(socket)).resume();
    await once(socket, "connect");
    socket.write(this.#hello);
  }

  /** So many a second from now on. */
  goOn(perSecond: number): void {
    this.#timer = setInterval(() => void this.one().catch(() => {}), 1_000 / perSecond);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    for (const socket of this.#sockets) socket.destroy();
  }
}

async function placesLost(adminUrl: string): Promise<number> {
  const text = await (await fetch(new URL("/metrics", adminUrl))).text();
  return Number(/turned_away_total\{cause="place_lost"\} (\d+)/.exec(text)?.[1]);
}

test(`${PER_SECOND} silent connections a second from one address hold up no connector of another`, async () => {
  await using stage = await TunnelStage.start();
  const { listeners, adminUrl } = stage.broker;
  using silence = new Silence(listeners.public.port, await clientHello("tunnel.sallyport.internal"));
  await Promise.all(Array.from({ length: AT_FIRST }, () => silence.one()));
  silence.goOn(PER_SECOND);
  await until("24 places are lost", async () => await placesLost(adminUrl) >= 24);
  const from = stage.connectorLog.length;
  stage.relay.cut();
  await stage.logged('"tunnel ready"', from);
  assert.ok(await placesLost(adminUrl) < AT_FIRST, "it did not wait for those who came before it");
});
