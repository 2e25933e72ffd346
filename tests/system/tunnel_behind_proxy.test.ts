/** A tunnel listener behind a load balancer that says by the PROXY protocol who its connectors are. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { test, type TestContext } from "node:test";
import { registerConnector, startBroker, startConnector } from "../../src/demo/processes.ts";
import { connectorRuntime } from "../support/connector_runtime.ts";

const V1 = Buffer.from("PROXY TCP4 203.0.113.7 192.0.2.1 1234 443\r\n");
const V2 = Buffer.concat([
  Buffer.from("0d0a0d0a000d0a515549540a2111000c", "hex"),
  Buffer.from([203, 0, 113, 8, 192, 0, 2, 1, 4, 210, 1, 187]),
]);

/** Passes connections on behind a header. */
async function balancer(t: TestContext, state: { target: number; header: Buffer }): Promise<string> {
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const far = connect(state.target, "127.0.0.1");
    for (const socket of [client, far]) {
      open.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        client.destroy();
        far.destroy();
        open.delete(socket);
      });
    }
    far.write(state.header);
    client.pipe(far).pipe(client);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("PROXY protocol v1 and v2 from a listed proxy say where a connector is; without it there is no tunnel", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "sallyport-proxied-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const state = { target: 0, header: V1 };
  const publicAddress = await balancer(t, state);
  const broker = await startBroker({
    dataDir: join(folder, "broker"),
    publicAddress,
    args: [
      ...["--trusted-proxies", "127.0.0.1/32", "--proxy-protocol-tunnel"],
      ...["--tunnel-listen", "127.0.0.1:0"],
    ],
  });
  state.target = (broker.listeners as unknown as { tunnel: { port: number } }).tunnel.port;
  t.after(() => broker.stop());
  for (const [header, address] of [[V1, "203.0.113.7"], [V2, "203.0.113.8"]] as const) {
    state.header = header;
    const stateDir = join(folder, address);
    const token = await broker.admin.enrolmentToken();
    const { connectorId } = await registerConnector({ stateDir, token, runtime: connectorRuntime() });
    const connector = await startConnector({ stateDir, runtime: connectorRuntime() });
    try {
      const { externalIp, connected } = await broker.admin.request("GET", `connectors/${connectorId}`) as {
        externalIp: string;
        connected: boolean;
      };
      assert.deepEqual([externalIp, connected], [address, true]);
    } finally {
      await connector.stop();
    }
  }
  // As if the balancer were told to say nothing.
  state.header = Buffer.alloc(0);
  const token = await broker.admin.enrolmentToken();
  await assert.rejects(
    registerConnector({ stateDir: join(folder, "bare"), token, runtime: connectorRuntime() }),
    /tls_failed|broker_lost/,
  );
});
