import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, get, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { AppGates } from "../../src/broker/ingress/app_gates.ts";
import type { ExchangeContext, ExchangeTarget } from "../../src/broker/ingress/exchange_context.ts";
import { Http1Exchange } from "../../src/broker/ingress/http1_exchange.ts";
import { IdleSweep } from "../../src/broker/ingress/idle_sweep.ts";
import { KeptBodies } from "../../src/broker/ingress/kept_bodies.ts";
import { RetryBudget } from "../../src/broker/ingress/retry_budget.ts";
import { DataPlaneCounters } from "../../src/broker/metrics/counters.ts";
import { type RegisteredTunnel, Registry } from "../../src/broker/registry/registry.ts";
import { spreadOf } from "../../src/broker/registry/spread.ts";
import { CreditBudget } from "../../src/tunnel/credit_budget.ts";
import type { ExchangeHandler } from "../../src/tunnel/exchange_handler.ts";

/** A tunnel whose only lane is lost with it. */
class LostTunnel implements RegisteredTunnel {
  readonly connectorId = "lost";
  readonly busy = 0;
  readonly bulk = 0;
  handler: ExchangeHandler | null = null;
  takeLane() {
    return {
      begin: (_frame: Buffer, _follows: unknown, handler: ExchangeHandler) => void (this.handler = handler),
      sendData: () => true,
      sendEnd: () => {},
      consumed: () => {},
      abort: () => {},
      isSending: false,
    };
  }
  wantLanes(): void {}
}

/** Timers that are set from now on and were not cleared, until the end of the test; Deno has no mock for them. */
function pendingTimers(t: TestContext): ReadonlySet<unknown> {
  const { setTimeout, clearTimeout } = globalThis;
  const pending = new Set<unknown>();
  const replaced = {
    setTimeout: (run: () => void, ms: number) => {
      const timer = setTimeout(run, ms);
      pending.add(timer);
      return timer;
    },
    clearTimeout: (timer: NodeJS.Timeout) => {
      pending.delete(timer);
      clearTimeout(timer);
    },
  };
  Object.assign(globalThis, replaced);
  t.after(() => Object.assign(globalThis, { setTimeout, clearTimeout }));
  return pending;
}

test("a user who leaves while the request waits to be sent again takes its timer along", async (t) => {
  using lanes = new Registry(new CreditBudget(1_000), {
    waitForConnectorMs: 60_000,
    waitForConnectorMax: 1,
    waitForLaneMax: 1,
  });
  const tunnel = new LostTunnel();
  lanes.add("g", tunnel);
  const counters = new DataPlaneCounters();
  using idleSweep = new IdleSweep();
  const context = {
    ...{ lanes, counters, idleSweep, gates: new AppGates(), kept: new KeptBodies(), userIdleMs: 0 },
    sessionLog: { enabled: false },
    failures: { note: () => {} },
    router: { current: () => ({ spreadOf: () => undefined }) },
  } as unknown as ExchangeContext;
  const target = {
    ...{ appId: "app", appName: "app", spread: spreadOf({ id: "app", groupId: "g" }), affinityKey: "" },
    ...{
      retries: new RetryBudget(),
      revision: 1,
      limits: null,
      requestId: "r",
      clientIp: "::1",
      scheme: "http",
    },
    ...{ host: "a.example", path: "/", rules: null, user: { host: "a.example", scheme: "http" } },
  } as unknown as ExchangeTarget;
  const server = createServer().listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const user = get({ port: (server.address() as AddressInfo).port, host: "127.0.0.1" });
  user.on("error", () => {});
  const [req, res] = await once(server, "request") as [IncomingMessage, ServerResponse];
  new Http1Exchange(context, target, () => assert.fail("nobody is there to read a page"), req, res)
    .start("/", ["Host", "a.example"], false);

  const timers = pendingTimers(t);
  lanes.remove("g", tunnel);
  tunnel.handler!.abort({ code: "tunnel_lost", begun: true });
  assert.equal(counters.retries, 1);
  assert.equal(timers.size, 1);
  user.destroy();
  await once(res, "close");
  assert.equal(counters.exchangesFinished, 1);
  assert.equal(timers.size, 0);
});
