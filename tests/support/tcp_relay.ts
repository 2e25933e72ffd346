import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP relay between a connector and its broker, which counts what passes. */
export interface TcpRelay extends AsyncDisposable {
  /** `host:port` that it listens on. */
  readonly address: string;
  /** Port of the loopback to which connections are passed on; none while it is 0. */
  target: number;
  /** Connections accepted so far. */
  readonly accepted: number;
  /** Connections that are open now. */
  readonly open: number;
  /** Bytes passed on so far, TLS included: to the target and from it. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** Ends all connections. */
  cut(): void;
  /** Passes nothing on any more on the connections that are open now, and keeps them. */
  silence(): void;
}

/** Starts a relay on a free port of the loopback. */
export async function tcpRelay(): Promise<TcpRelay> {
  const open = new Set<Socket>();
  const silencers = new Set<() => void>();
  const counts = { accepted: 0, up: 0, down: 0 };
  const server = createServer({ noDelay: true }, (client) => {
    counts.accepted += 1;
    open.add(client);
    client.on("error", () => {});
    client.on("close", () => open.delete(client));
    if (relay.target === 0) return void client.destroy();
    const far = connect({ host: "127.0.0.1", port: relay.target, noDelay: true });
    // Not by a reset: of a socket that is being shut down, it fails and leaves the handle open for ever.
    far.on("error", () => client.destroy());
    far.on("close", () => client.destroy());
    client.on("close", () => far.destroy());
    client.on("data", (bytes: Buffer) => counts.up += bytes.length);
    far.on("data", (bytes: Buffer) => counts.down += bytes.length);
    client.pipe(far);
    far.pipe(client);
    silencers.add(() => {
      client.unpipe();
      far.unpipe();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const relay: TcpRelay = {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    target: 0,
    get accepted() {
      return counts.accepted;
    },
    get open() {
      return open.size;
    },
    get bytesUp() {
      return counts.up;
    },
    get bytesDown() {
      return counts.down;
    },
    cut() {
      for (const socket of open) socket.destroy();
    },
    silence() {
      for (const silence of silencers) silence();
      silencers.clear();
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
  return relay;
}
