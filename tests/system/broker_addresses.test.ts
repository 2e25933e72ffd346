/** A connector that knows several addresses of its broker: a tunnel by each, and what one of them cannot do the others can. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startConnector } from "../../src/demo/processes.ts";
import { readStatus } from "../../src/connector/status/client.ts";
import { statusSocketPath } from "../../src/connector/status/socket_path.ts";
import { connectorCli } from "../support/connector_cli.ts";
import { tcpRelay } from "../support/tcp_relay.ts";
import { type ConnectorFacts, TunnelStage } from "../support/tunnel_stage.ts";

const areReady = (count: number) => ({ tunnels }: ConnectorFacts): boolean =>
  tunnels.length === count && tunnels.every(({ state }) => state === "ready");

test("a tunnel by each address; while one leads nowhere requests go by the other, and it is back by itself", async () => {
  await using second = await tcpRelay();
  const connectorArgs: string[] = [];
  await using stage = await TunnelStage.start({
    connectorArgs,
    prepare(stage) {
      connectorArgs.push("--broker-addresses", `${stage.relay.address},${second.address}`);
      return Promise.resolve([]);
    },
  });
  second.target = stage.relay.target;
  const { origin } = await stage.backend((_req, res) => void res.end("ok"));
  await stage.publish("/", origin);
  const { tunnels } = await stage.until("two tunnels", areReady(2));
  assert.equal(new Set(tunnels.map(({ instanceId }) => instanceId)).size, 1, "one process");
  assert.deepEqual([stage.relay.open, second.open], [1, 1]);
  const addresses = [stage.relay.address, second.address];
  const status = async () => await readStatus(statusSocketPath(stage.stateDir));
  assert.equal((await status()).broker, addresses.join(", "));

  const { target } = stage.relay;
  stage.relay.target = 0;
  stage.relay.cut();
  await stage.until("one tunnel", areReady(1));
  for (let i = 0; i < 20; i++) assert.equal((await fetch(stage.url())).status, 200);
  const shown = (await status()).tunnels as { state: string; address: string; lastError?: string }[];
  assert.deepEqual(shown.map(({ address }) => address), addresses);
  assert.equal(shown[1]!.state, "connected");
  assert.ok(shown[0]!.lastError !== undefined, "why not by the first");
  const { stdout } = await connectorCli(["doctor", "--state-dir", stage.stateDir, "--json"], {
    env: { SALLYPORT_BROKER_ADDRESSES: addresses.join() },
  });
  const { checks } = JSON.parse(stdout) as { checks: { name: string; status: string }[] };
  const found = (name: string) => checks.find((check) => check.name === name)?.status;
  assert.deepEqual(addresses.map((address) => found(`broker by ${address}`)), ["failed", "ok"]);
  stage.relay.target = target;
  await stage.until("two again", areReady(2));
  assert.equal(stage.relay.open, 1);
});

test("what is no address is refused with the key's name", async () => {
  await using stage = await TunnelStage.start();
  await stage.connector.stop();
  await assert.rejects(
    startConnector({
      stateDir: stage.stateDir,
      runtime: "node",
      args: ["--broker-addresses", "a:1,nonsense"],
    }),
    /brokerAddresses/,
  );
});
