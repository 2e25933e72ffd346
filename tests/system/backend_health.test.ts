import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { AllowList } from "../../src/connector/backend/allow_list.ts";
import { checkBackend } from "../../src/connector/backend/check.ts";
import { NO_CLIENT_CERTIFICATES } from "../../src/connector/backend/client_certificates.ts";
import { defaultLookup } from "../../src/connector/backend/dial.ts";
import { readStatus } from "../../src/connector/status/client.ts";
import { statusSocketPath } from "../../src/connector/status/socket_path.ts";
import type { HealthCheck } from "../../src/protocol/app.ts";
import { backendApp, testBackends } from "../support/backend_exchange.ts";
import { ownPort } from "../support/own_port.ts";
import { TunnelStage } from "../support/tunnel_stage.ts";

interface Health {
  appsOutOfReach: string[];
}

async function listening(server: Server, port = 0): Promise<number> {
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

async function closed(server: Server): Promise<void> {
  const over = once(server, "close");
  server.close();
  server.closeAllConnections();
  await over;
}

test("a backend that refuses is out of reach, in the API and in status, until it listens", async () => {
  await using stage = await TunnelStage.start();
  const server = createServer((_req, res) => void res.end("ok"));
  using own = await ownPort();
  const port = await listening(server, own.port);
  await closed(server);
  const id = await stage.publish("/", `http://127.0.0.1:${port}`);
  assert.equal((await fetch(stage.url())).status, 502);
  await stage.until("out of reach", (facts) => (facts as unknown as Health).appsOutOfReach.includes(id));
  const status = await readStatus(statusSocketPath(stage.stateDir));
  assert.deepEqual(status.appsOutOfReach, [{ app: id, reason: "backend_refused" }]);
  const [tunnel] = status.tunnels as { connectedAt: unknown }[];
  for (const moment of [status.certificateNotAfter, status.renewalDueAt, tunnel!.connectedAt]) {
    assert.equal(moment, new Date(moment as string).toISOString());
  }
  // Its connector says so again on each tunnel.
  const { connectedAt } = (await stage.facts()).tunnels[0]!;
  stage.relay.cut();
  await stage.until(
    "out of reach on the next tunnel, too",
    (facts) =>
      facts.tunnels.some((tunnel) => tunnel.connectedAt !== connectedAt) &&
      (facts as unknown as Health).appsOutOfReach.includes(id),
  );
  const again = createServer((_req, res) => void res.end("ok"));
  await listening(again, port);
  try {
    await stage.until("within reach", (facts) => (facts as unknown as Health).appsOutOfReach.length === 0);
    assert.equal((await fetch(stage.url())).status, 200);
  } finally {
    await closed(again);
  }
});

test("an app's health check finds its backend unwell and well again, and its settings can change", async () => {
  await using stage = await TunnelStage.start();
  const paths = new Set<string>();
  let status = 503;
  const { origin } = await stage.backend((req, res) => {
    paths.add(`${req.method} ${req.url}`);
    res.writeHead(status).end();
  });
  const healthCheck = { path: "/alive", intervalMs: 1_000, healthyAfter: 1, unhealthyAfter: 1 };
  const id = await stage.publish("/", origin, { healthCheck });
  const isUnwell = (facts: unknown) => (facts as Health).appsOutOfReach.includes(id);
  await stage.until("unwell", isUnwell);
  assert.deepEqual([...paths], ["GET /alive"]);
  status = 302;
  await stage.until("well", (facts) => !isUnwell(facts));
  status = 404;
  await stage.until("unwell again", isUnwell);
  await stage.broker.admin.request("PATCH", `apps/${id}`, { healthCheck: null });
  await stage.until("without a check", (facts) => !isUnwell(facts));
});

const TCP: HealthCheck = {
  type: "tcp",
  path: "/",
  intervalMs: 1_000,
  timeoutMs: 2_000,
  healthyAfter: 1,
  unhealthyAfter: 1,
};

test("checks connect only where the allow list permits, and end within their time", async (t) => {
  let connections = 0;
  const server = createServer(() => {});
  server.on("connection", () => connections += 1);
  const port = await listening(server);
  t.after(() => closed(server));
  const backends = testBackends(t);
  const check = (changes: Partial<HealthCheck>, patterns: string[] = []) => {
    const allow = new AllowList(patterns);
    const means = { allow, lookup: defaultLookup, clientCertificates: NO_CLIENT_CERTIFICATES };
    const app = backendApp(`http://127.0.0.1:${port}`, { healthCheck: { ...TCP, ...changes } });
    return checkBackend(app, { backends, means }, new AbortController().signal);
  };
  assert.equal(await check({}, ["10.0.0.0/8"]), "backend_not_allowed");
  assert.equal(connections, 0);
  assert.equal(await check({}), null);
  assert.equal(await check({ type: "http", timeoutMs: 100 }), "backend_timeout");
});
