/** Everything over IPv6: connectors enrol, dial and serve there, and users and a backend are there. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { readStatus } from "../../src/connector/status/client.ts";
import { statusSocketPath } from "../../src/connector/status/socket_path.ts";
import { addConnector, type BrokerOptions, type Listener, startBroker } from "../../src/demo/processes.ts";
import { waitForExchange } from "../../src/demo/wait_for_exchange.ts";
import { connectorRuntime } from "../support/connector_runtime.ts";
import { temporaryFolder } from "../support/store_fixture.ts";
import { Users } from "../support/user_requests.ts";

const HAS_IPV6 = Object.values(networkInterfaces()).flat().some((one) => one?.address === "::1");

const LISTENERS: readonly [string, "public" | "tunnel", Partial<BrokerOptions>][] = [
  ["the one that users have, too", "public", { publicListen: "[::1]:0" }],
  ["one of their own", "tunnel", { args: ["--tunnel-listen", "[::1]:0"] }],
];

for (const [which, name, options] of LISTENERS) {
  test(`connectors enrol and serve over [::1], at a listener: ${which}`, async (t) => {
    if (!HAS_IPV6) return t.diagnostic("NOT TESTED: this machine has no ::1");
    const folder = temporaryFolder(t);
    const backend = createServer((req, res) => void res.end(req.headers["x-forwarded-for"]));
    await once(backend.listen(0, "::1"), "listening");
    t.after(() => new Promise((resolve) => backend.close(resolve).closeAllConnections()));
    const broker = await startBroker({ dataDir: `${folder}/broker`, plainListen: "[::1]:0", ...options });
    t.after(() => broker.stop());
    const listeners = broker.listeners as unknown as Record<string, Listener>;
    assert.equal(listeners[name]!.address, "::1");
    const connector = await addConnector(broker, folder, "connector", { runtime: connectorRuntime() });
    t.after(() => connector.stop());

    const { externalIp } = await broker.admin.request("GET", `connectors/${connector.id}`) as {
      externalIp: string;
    };
    assert.equal(externalIp, "::1");
    const { broker: dialled } = await readStatus(statusSocketPath(connector.stateDir));
    assert.equal(dialled, `[::1]:${listeners[name]!.port}`);

    const externalUrl = `http://[::1]:${listeners.plain!.port}/`;
    const internalUrl = `http://[::1]:${(backend.address() as AddressInfo).port}/`;
    await broker.admin.publish({ name: "IPv6", externalUrl, internalUrl });
    await waitForExchange(externalUrl);
    using users = new Users();
    const { status, body } = await users.get(externalUrl);
    assert.deepEqual([status, body], [200, "::1"]);
  });
}
