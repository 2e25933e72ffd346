/** Health checks of a backend that only one of two connectors finds well. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test, type TestContext } from "node:test";
import { FaultStage } from "../faults/fault_stage.ts";
import { until } from "../support/until.ts";

const HERE = "127.0.0.1";
const THERE = "127.0.0.9";
const REQUESTS = 20;

/** The backend as the first connector sees it: it answers, and says of its health what the test wants. */
async function otherSide(t: TestContext, port: number) {
  const side = { status: 503, served: 0 };
  const server = createServer((req, res) => {
    if (req.url === "/alive") return void res.writeHead(side.status).end();
    side.served += 1;
    res.end("ok\n");
  });
  server.listen(port, THERE);
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return side;
}

test("a connector whose backend fails its health check is not chosen while another's passes; with it well again it is", async (t) => {
  await using stage = await FaultStage.start({
    connectors: 2,
    backendHost: "backend.test",
    app: {
      balancing: "round_robin",
      healthCheck: { path: "/alive", intervalMs: 1_000, healthyAfter: 2, unhealthyAfter: 2 },
    },
    connectorEnv: (index) => ({
      FAULT_BACKEND_ADDRESS: index === 0 ? THERE : HERE,
      NODE_OPTIONS: `--require ${new URL("../faults/dns_of_one.cjs", import.meta.url).pathname}`,
    }),
  });
  const side = await otherSide(t, Number(new URL(stage.backendUrl).port));
  const ask = async () => {
    for (let i = 0; i < REQUESTS; i++) assert.equal(await (await fetch(stage.url)).text(), "ok\n");
  };
  const outOfReach = async () => {
    const { id } = stage.connectors[0]!;
    const facts = await stage.broker.admin.request("GET", `connectors/${id}`) as { appsOutOfReach: string[] };
    return facts.appsOutOfReach.includes(stage.appId);
  };
  await until("it is out of reach", outOfReach);
  // By its checks alone: what was learnt while nothing listened there is over once they pass.
  side.status = 200;
  await until("it is within reach", async () => !await outOfReach());
  await ask();
  assert.equal(side.served, REQUESTS / 2);
  side.status = 503;
  await until("it is out of reach", outOfReach);
  side.served = 0;
  await ask();
  assert.equal(side.served, 0);
  side.status = 200;
  await until("it is within reach", async () => !await outOfReach());
  await ask();
  assert.equal(side.served, REQUESTS / 2);
});
