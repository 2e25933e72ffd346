import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { BackendHandler, Backends } from "../../../src/connector/backend/port.ts";
import type { KnownApps } from "../../../src/connector/known_apps.ts";
import { LaneServer, type LaneServerTunnel } from "../../../src/connector/lane_server.ts";
import { encodeRequest } from "../../../src/protocol/heads.ts";
import { INITIAL_CREDIT } from "../../../src/protocol/limits.ts";
import { Backlog } from "../../../src/tunnel/backlog.ts";
import { CreditBudget } from "../../../src/tunnel/credit_budget.ts";
import { FlushQueue } from "../../../src/tunnel/flush_queue.ts";
import { Lane } from "../../../src/tunnel/lane.ts";
import { Pace } from "../../../src/tunnel/pace.ts";
import { FakeTimers } from "../tunnel/fake_timers.ts";
import { Owner, Recorder, request } from "../tunnel/lane_ends.ts";
import { settle, wire } from "../tunnel/wire.ts";

/** No time passes but where a test says so: a machine that stands still makes nothing come too late. */
const stillness = new FakeTimers();
after(() => stillness[Symbol.dispose]());

/** A tunnel whose backend takes no byte of any body; `answers` is what the last request was given to. */
function stalledTunnel(): LaneServerTunnel & { answers: BackendHandler | null } {
  const backends: Pick<Backends, "dispatch"> = {
    dispatch(_app, _request, handler) {
      tunnel.answers = handler;
      return { write: () => false, end() {}, resume() {}, abort() {} };
    },
  };
  const apps: Pick<KnownApps, "revision" | "get"> = { revision: 7, get: () => ({}) as never };
  const tunnel = {
    budget: new CreditBudget(64 * 1024 * 1024),
    flushes: new FlushQueue(),
    backlog: new Backlog(),
    pace: new Pace(1),
    roundTripMs: 0,
    backends: backends as Backends,
    apps: apps as KnownApps,
    sessionLog: { enabled: false, write() {} } as never,
    connectorId: "connector_1",
    answers: null as BackendHandler | null,
    now: () => 0,
    received() {},
    pull: () => Promise.resolve(),
    backendFailed() {},
    failed(error: Error) {
      throw error;
    },
    laneBusy() {},
    laneIdle() {},
    laneClosed() {},
  };
  return tunnel;
}

test("a body of which the backend has taken nothing ends behind an early response", async () => {
  const { broker, connector } = wire();
  const owner = new Owner();
  const lane = new Lane(broker, "broker", owner);
  const tunnel = stalledTunnel();
  const server = new LaneServer(connector, tunnel);
  const user = new Recorder();
  lane.begin(encodeRequest(request({ method: "POST", follows: "body" })), "body", user);
  // Its last bytes and its end wait for credit.
  lane.sendData(Buffer.alloc(INITIAL_CREDIT + 1));
  lane.sendEnd([]);
  await settle(broker, connector);
  tunnel.answers!.response(413, "Content Too Large", [], false);
  tunnel.answers!.end([]);
  await settle(broker, connector);
  assert.deepEqual(user.names, ["response", "end"]);
  assert.ok(lane.isIdle);
  assert.ok(server.lane.isIdle);
  assert.deepEqual([owner.budget.used, tunnel.budget.used], [0, 0]);
});
